"""Known mistakes in optim.py: {exercise: [(old text, new text, what is wrong)]}."""

SHRINK = "parameter.grad.mul_((limit / parameter.grad.norm()).clamp(max=1))"

MISTAKES = {
    "3.28": [
        (
            "    for parameter in parameters:\n",
            "    torch.nn.utils.clip_grad_norm_(parameters, clip)\n    for parameter in ():\n",
            "you clip the norm of all gradients together, as V1 and V2 do: here each tensor has a "
            "limit of its own, relative to its parameter",
        ),
        (
            "clip * parameter.norm().clamp(min=minimum)",
            "torch.tensor(clip)",
            "your limit is `clip` for every tensor: it is clip times the norm of the parameter",
        ),
        (
            ".clamp(min=minimum)",
            "",
            "the minimum is missing: a parameter that starts at zero has the limit 0, and would "
            "never move",
        ),
        (
            ".clamp(min=minimum)",
            ".clamp(max=minimum)",
            "you cut the norm of the parameter at the minimum from above: smaller norms are raised "
            "to it",
        ),
        (
            "clip * parameter.norm().clamp(min=minimum)",
            "(clip * parameter.norm()).clamp(min=minimum)",
            "you compare the limit with the minimum: it is the norm of the parameter that counts "
            "as `minimum` at least, times clip afterwards",
        ),
        (
            ".clamp(min=minimum)",
            ".clamp(min=1e-3)",
            "you fix the minimum at .001: it is an argument",
        ),
        (
            "parameter.norm().clamp(min=minimum)",
            "(parameter.norm() + minimum)",
            "you add the minimum to the norm: the larger of the two counts",
        ),
        (
            ".clamp(max=1)",
            "",
            "you scale small gradients up to the limit: only larger ones change",
        ),
        (
            ".clamp(max=1)",
            ".clamp(min=1)",
            "you change the gradients below the limit and leave those above it: it is the other "
            "way round",
        ),
        (
            "limit = clip * parameter.norm().clamp(min=minimum)\n            " + SHRINK,
            "limit = clip * parameter.norm(dim=-1, keepdim=True).clamp(min=minimum)\n"
            "            norm = parameter.grad.norm(dim=-1, keepdim=True)\n"
            "            parameter.grad.mul_((limit / norm).clamp(max=1))",
            "you clip row by row, as the AGC paper does: DreamerV3 takes the norm of a whole "
            "tensor",
        ),
        (
            SHRINK,
            "parameter.grad.clamp_(-limit, limit)",
            "you cut every number by itself, which turns the gradient: shrink the tensor as a "
            "whole",
        ),
        (
            "if parameter.grad is not None:",
            "if True:",
            "a parameter without a gradient has grad None: leave it out",
        ),
        (
            "        if parameter.grad is not None:",
            "        if parameter.grad is None:\n            break\n        else:",
            "you stop at the first parameter without a gradient: those after it have one",
        ),
        (
            SHRINK,
            "norm = parameter.grad.norm()\n"
            "            parameter.grad.mul_(norm.clamp(max=limit) / norm)",
            "a gradient of zero becomes NaN, 0 / 0: it has to stay zero",
        ),
        (
            "parameter.grad.mul_(",
            "parameter.grad.mul(",
            "your result is thrown away: change parameter.grad itself (mul_, or assign it)",
        ),
        (
            "(limit / parameter.grad.norm())",
            "(parameter.grad.norm() / limit)",
            "your factor is turned round: limit / norm brings the norm to the limit",
        ),
        (
            "parameter.grad.mul_(",
            "parameter.mul_(",
            "you shrink the parameter: it is its gradient that is clipped",
        ),
        (
            "clip * parameter.norm()",
            "clip * parameter.square().sum()",
            "the root is missing in the norm of the parameter",
        ),
        (
            "limit = clip *",
            "limit = 0.3 *",
            "you fix clip at .3: it is an argument",
        ),
        (
            "parameter.grad.norm())",
            "parameter.grad.norm().clamp(min=minimum))",
            "you raise the gradient's norm to the minimum as well, so a small gradient of a small "
            "parameter shrinks below its limit: only the parameter's norm is raised",
        ),
    ],
    "3.29": [
        (
            "momentum.mul_(beta1).addcdiv_(parameter.grad, scale, value=1 - beta1)\n"
            "        parameter.add_(momentum, alpha=-rate",
            "momentum.mul_(beta1).add_(parameter.grad, alpha=1 - beta1)\n"
            "        parameter.addcdiv_(momentum, scale, value=-rate",
            "that is Adam: the momentum averages raw gradients, and is normalised afterwards. "
            "LaProp normalises each gradient first",
        ),
        (
            'sqrt_().add_(group["eps"])',
            'add_(group["eps"]).sqrt_()',
            "you add ε inside the root: it is added to √v",
        ),
        (
            '(square / (1 - beta2**count)).sqrt_().add_(group["eps"])',
            '(square.sqrt() + group["eps"]) / (1 - beta2**count) ** 0.5',
            "you add ε before v is corrected: correct v, take the root, then add ε",
        ),
        (
            '.add_(group["eps"])',
            "",
            "ε is missing: a gradient that was always zero gives 0 / 0",
        ),
        (
            "(square / (1 - beta2**count))",
            "square.clone()",
            "v is not corrected: it starts at 0, so the first steps would be far too long",
        ),
        (
            "-rate / (1 - beta1**count)",
            "-rate",
            "m is not corrected: it starts at 0, so the first steps would be too short",
        ),
        (
            "beta1, beta2 = group",
            "beta2, beta1 = group",
            "you exchange the betas: β₁ is that of the momentum, β₂ that of the squares",
        ),
        (
            "alpha=-rate",
            "alpha=rate",
            "you step up the gradient: the sign of the step is minus",
        ),
        (
            'state["count"] = count = state["count"] + 1',
            'count = state["count"]\n        state["count"] = count + 1',
            "your correction counts from 0, and divides by 0: the first update is number 1",
        ),
        (
            'state["count"] = count = state["count"] + 1',
            'count = state["count"] + 1',
            "the count is not stored: every update is corrected as if it was the first",
        ),
        (
            "square.mul_(beta2).addcmul_(",
            "square.addcmul_(",
            "the old squares are not multiplied by β₂: your sum would grow for ever",
        ),
        (
            "value=1 - beta2)",
            "value=1)",
            "the factor 1 - β₂ of the new square is missing",
        ),
        (
            "scale, value=1 - beta1)",
            "scale, value=1)",
            "the factor 1 - β₁ of the new gradient is missing",
        ),
        (
            "addcmul_(parameter.grad, parameter.grad, value=1 - beta2)",
            "add_(parameter.grad.abs(), alpha=1 - beta2)",
            "you average |g|: it is g²",
        ),
        (
            "(square / (1 - beta2**count)).sqrt_()",
            "square.div_(1 - beta2**count).sqrt()",
            "you correct the stored v in place, so every update corrects it again: only a copy is "
            "corrected",
        ),
        (
            "square.mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)",
            "square = beta2 * square + (1 - beta2) * parameter.grad**2",
            "your v is a new tensor that is not stored: change state['square'] in place, or store "
            "the new one there",
        ),
        (
            "momentum.mul_(beta1).addcdiv_(parameter.grad, scale, value=1 - beta1)",
            "momentum = beta1 * momentum + (1 - beta1) * parameter.grad / scale",
            "your m is a new tensor that is not stored: change state['momentum'] in place, or "
            "store the new one there",
        ),
        (
            "scale, value=1 - beta1)\n        parameter.add_(momentum, alpha=-rate / (1",
            "scale, value=rate * (1 - beta1))\n        parameter.add_(momentum, alpha=-1 / (1",
            "your rate is inside the momentum, as in the LaProp paper: here the rate of the moment "
            "multiplies m, so that the first step of a warm-up has no effect",
        ),
        (
            "alpha=-rate",
            'alpha=-group["lr"]',
            "you step with lr: the argument `rate` is lr with the warm-up in it",
        ),
        (
            ".sqrt_()",
            "",
            "the root is missing: the gradient is divided by √v",
        ),
        (
            "parameter.add_(momentum, alpha=-rate / (1 - beta1**count))",
            "parameter = parameter - rate / (1 - beta1**count) * momentum",
            "the parameter does not move: you bind the name to a new tensor. Change it in place",
        ),
        (
            "parameter.add_(momentum, alpha=-rate / (1 - beta1**count))",
            "parameter.addcdiv_(parameter.grad, scale, value=-rate)",
            "your step ignores the momentum: that is RMSProp",
        ),
        (
            "addcdiv_(parameter.grad, scale, value=1 - beta1)",
            "add_(parameter.grad.div_(scale), alpha=1 - beta1)",
            "you normalise the gradient in place: it is the caller's, and stays as it is",
        ),
        (
            '.add_(group["eps"])',
            ".add_(1e-8)",
            "you take Adam's ε of 1e-8, which is not small beside small gradients: it is an option "
            "of the group, 1e-20",
        ),
        (
            '(square / (1 - beta2**count)).sqrt_().add_(group["eps"])\n'
            "        momentum.mul_(beta1).addcdiv_(parameter.grad, scale, value=1 - beta1)\n"
            "        parameter.add_(momentum, alpha=-rate / (1 - beta1**count))",
            'square.sqrt().add_(group["eps"])\n'
            "        momentum.mul_(beta1).addcdiv_(parameter.grad, scale, value=1 - beta1)\n"
            "        parameter.add_(momentum, alpha=-rate)",
            "neither average is corrected: both start at 0, and each is divided by 1 - β to the "
            "power of the count",
        ),
    ],
}
