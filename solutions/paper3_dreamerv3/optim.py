"""The optimiser of DreamerV3: adaptive gradient clipping, then LaProp, with a linear warm-up.

Paper: arXiv:2301.04104v2, appendix on optimisation. AGC: Brock et al. 2021, arXiv:2102.06171.
LaProp: Ziyin et al. 2020, arXiv:2002.04839. Official code: embodied/jax/opt.py.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def adaptive_gradient_clipping(
    parameters: Iterable[nn.Parameter], clip: float = 0.3, minimum: float = 1e-3
) -> None:
    """Shrink each gradient tensor whose norm exceeds `clip` times the norm of its parameter.

    minimum   parameters of smaller norm count as this, so that zero-initialised ones can move

    Per tensor, not global: a large gradient in one head does not slow down the others. A gradient
    of zero stays zero; parameters without a gradient (None) are passed over.
    """
    # EXERCISE 3.28: the limit of each tensor, and its gradient shrunk to it
    for parameter in parameters:
        if parameter.grad is not None:
            limit = clip * parameter.norm().clamp(min=minimum)
            parameter.grad.mul_((limit / parameter.grad.norm()).clamp(max=1))
    # END 3.28


class LaProp(torch.optim.Optimizer):
    """Momentum of gradients that are already normalised (Adam normalises their momentum).

        v ← β₂ v + (1 - β₂) g²         both averages are bias-corrected
        m ← β₁ m + (1 - β₁) g / √v
        θ ← θ - lr min(1, n / warmup) m

    n counts updates from 0, so that the first update of a warm-up has no effect. The correction
    counts each parameter's own updates. The Nature text gives β₂ = 0.99; the official code has
    0.999, as here.
    """

    def __init__(
        self, parameters, lr: float = 4e-5, beta1: float = 0.9, beta2: float = 0.999,
        eps: float = 1e-20, warmup: int = 1000,
    ):  # fmt: skip
        super().__init__(parameters, dict(lr=lr, beta1=beta1, beta2=beta2, eps=eps, warmup=warmup))

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            done = group["done"] = group.get("done", -1) + 1  # updates before this one
            rate = (
                group["lr"] * min(1.0, done / group["warmup"]) if group["warmup"] else group["lr"]
            )
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group, rate)

    def _update(self, parameter: Tensor, group: dict, rate: float) -> None:
        """One step of one parameter, in place; its gradient stays as it is.

        What the next step needs is kept in `state`.

        group   beta1, beta2, and eps, which is added to √v, v corrected
        rate    lr, warmed up
        """
        state = self.state[parameter]
        if not state:
            state["count"] = 0
            state["square"] = torch.zeros_like(parameter)
            state["momentum"] = torch.zeros_like(parameter)
        # EXERCISE 3.29: both averages, their corrections, and the step
        state["count"] = count = state["count"] + 1
        beta1, beta2 = group["beta1"], group["beta2"]
        square, momentum = state["square"], state["momentum"]
        square.mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
        scale = (square / (1 - beta2**count)).sqrt_().add_(group["eps"])
        momentum.mul_(beta1).addcdiv_(parameter.grad, scale, value=1 - beta1)
        parameter.add_(momentum, alpha=-rate / (1 - beta1**count))
        # END 3.29


if __name__ == "__main__":
    import course

    course.run(__file__)
