"""What makes updates of the reference faster: functions that give the same in less time.

Nothing to learn here about DreamerV3: `networks.norm_act` and `RSSM.observe` say what is computed.

observe    Automatic differentiation of T steps records some sixty small functions a step, and
           multiplies B rows for the gradient of each weight at each step. Here a step's backward
           pass is written out without the weights: their gradients are one product each over all
           T·B rows at the end.
norm_act   keeps less for its gradient and works in pieces that fit a CPU's cache.

The trainer asks for `replacements`, which compares each function with what it replaces.
Letters as in rssm.py, and G blocks, U hidden units.
"""

import copy
import functools
import sys
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from solutions.paper3_dreamerv3 import networks
from solutions.paper3_dreamerv3.rssm import RSSM

plain_norm_act = networks.norm_act


class Weights(NamedTuple):
    """What a step multiplies with; biases are part of the inputs where they can be."""

    h_in: Tensor  # (U, H)
    h_bias: Tensor  # (U)
    z_in: Tensor  # (U, S K)
    z_bias: Tensor  # (U)
    in_norm: Tensor  # (2, U)   of h and z
    core_h: Tensor  # (G, H/G, H/G)
    core_in: Tensor  # (H, 2 U)   the columns of h and z
    core_norm: Tensor  # (H)
    gates: Tensor  # (G, H/G, 3 H/G)
    gates_bias: Tensor  # (G, 1, 3 H/G)   1 less for the update gate
    post_h: Tensor  # (U, H)
    post_norm: Tensor  # (U)
    post_out: Tensor  # (S K, U)
    post_bias: Tensor  # (S K)


class Step(NamedTuple):
    """What a step keeps for its gradient, B rows each. n, r: see `norm_act_of_step`."""

    h0: Tensor  # the state before, zeros where an episode begins
    z0: Tensor
    in_n: Tensor
    in_r: Tensor
    x: Tensor  # input of core_in
    core_n: Tensor
    core_r: Tensor
    y: Tensor  # input of gates
    reset: Tensor
    candidate: Tensor  # before reset and tanh
    update: Tensor
    new: Tensor  # after them
    h: Tensor
    post_n: Tensor
    post_r: Tensor
    q: Tensor  # input of post_out
    logits: Tensor


def norm_act_of_step(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """silu(weight n), n = x r, r = 1 / √(mean(x²) + ε); all three of them: output, n, r."""
    r = x.square().sum(-1, keepdim=True).div_(x.shape[-1]).add_(eps).rsqrt_()
    n = x * r
    return F.silu(n * weight), n, r


def gradient_of_step(g: Tensor, n: Tensor, r: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of x, and that of the weight for each row, from the output's gradient g."""
    g = torch.ops.aten.silu_backward(g, n * weight)
    of_weight = g * n
    total = (of_weight * weight).sum(-1, keepdim=True)
    return (g * weight).addcmul_(n, total, value=-1 / n.shape[-1]).mul_(r), of_weight


class Observe(torch.autograd.Function):
    """T steps of the posterior.

    rssm                for its sizes and its sampling
    h, z                (B, H), (B, S K)   the state before; without gradient
    keep                (B, T)
    core_bias, h_bias   (B, T, H), (B, T, U)   what actions and embeddings add to core and posterior
    weights             those of `Weights`
    return              h (B, T, H), z (B, T, S K), posterior logits (B, T, S K)
    """

    @staticmethod
    def forward(ctx, rssm, h, z, keep, core_bias, post_bias, *weights):
        w, eps, blocks = Weights(*weights), rssm.core_norm.eps, rssm.to_blocks
        steps, zs = [], []
        begins = (keep == 0).any(0).tolist()
        for t, begin in enumerate(begins):
            h0, z0 = (h * keep[:, t, None], z * keep[:, t, None]) if begin else (h, z)
            x = torch.stack([torch.addmm(w.h_bias, h0, w.h_in.t()),
                             torch.addmm(w.z_bias, z0, w.z_in.t())], 1)  # fmt: skip
            x, in_n, in_r = norm_act_of_step(x, w.in_norm, eps)
            x = x.flatten(1)
            h0_ = blocks(h0).transpose(0, 1)
            core = torch.baddbmm(blocks(core_bias[:, t]).transpose(0, 1), h0_, w.core_h)
            core = torch.addmm(core.transpose(0, 1).flatten(1), x, w.core_in.t())
            y, core_n, core_r = norm_act_of_step(core, w.core_norm, eps)
            gates = torch.baddbmm(w.gates_bias, blocks(y).transpose(0, 1), w.gates)
            reset, candidate, update = gates.transpose(0, 1).chunk(3, -1)  # (B, G, H/G)
            reset, update = torch.sigmoid(reset), torch.sigmoid(update)
            new = torch.tanh(reset * candidate)
            h = torch.lerp(blocks(h0), new, update).flatten(1)
            q = torch.addmm(post_bias[:, t], h, w.post_h.t())
            q, post_n, post_r = norm_act_of_step(q, w.post_norm, eps)
            logits = torch.addmm(w.post_bias, q, w.post_out.t())
            z = rssm.sample(logits.unflatten(1, (rssm.stoch, -1))).flatten(1)
            zs.append(z)
            steps.append(Step(h0, z0, in_n, in_r, x, core_n, core_r, y, reset, candidate, update,
                              new, h, post_n, post_r, q, logits))  # fmt: skip
        ctx.rssm, ctx.begins = rssm, begins
        ctx.save_for_backward(keep, *weights, *(x for step in steps for x in step))
        hs, logits = [step.h for step in steps], [step.logits for step in steps]
        return torch.stack(hs, 1), torch.stack(zs, 1), torch.stack(logits, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, of_h, of_z, of_logits):
        keep, *saved = ctx.saved_tensors
        count, width, blocks = len(Weights._fields), len(Step._fields), ctx.rssm.to_blocks
        w, saved = Weights(*saved[:count]), saved[count:]
        steps = [Step(*saved[i : i + width]) for i in range(0, len(saved), width)]
        dh, dz = torch.zeros_like(of_h[:, 0]), torch.zeros_like(of_z[:, 0])
        rows = []
        for t in reversed(range(len(steps))):
            s = steps[t]
            probs = torch.softmax(s.logits.unflatten(1, (ctx.rssm.stoch, -1)), -1)
            dz = (dz + of_z[:, t]).mul_(1 - ctx.rssm.ratio).view_as(probs)
            dlogits = torch.ops.aten._softmax_backward_data(dz, probs, -1, probs.dtype).flatten(1)
            dlogits += of_logits[:, t]
            dq, dpost_norm = gradient_of_step(dlogits @ w.post_out, s.post_n, s.post_r, w.post_norm)
            dh = torch.addmm(dh + of_h[:, t], dq, w.post_h)
            dh_ = blocks(dh)
            dnew = dh_ * s.update
            dupdate = torch.ops.aten.sigmoid_backward(dh_ * (s.new - blocks(s.h0)), s.update)
            dproduct = torch.ops.aten.tanh_backward(dnew, s.new)
            dreset = torch.ops.aten.sigmoid_backward(dproduct * s.candidate, s.reset)
            dgates = torch.cat([dreset, dproduct * s.reset, dupdate], -1)
            dy = torch.bmm(dgates.transpose(0, 1), w.gates.transpose(1, 2)).transpose(0, 1)
            dcore, dcore_norm = gradient_of_step(dy.flatten(1), s.core_n, s.core_r, w.core_norm)
            dx = (dcore @ w.core_in).view_as(s.in_n)
            dx, din_norm = gradient_of_step(dx, s.in_n, s.in_r, w.in_norm)
            dh = torch.baddbmm((dh_ - dnew).transpose(0, 1), blocks(dcore).transpose(0, 1),
                               w.core_h.transpose(1, 2))  # fmt: skip
            dh = torch.addmm(dh.transpose(0, 1).flatten(1), dx[:, 0], w.h_in)
            dz = dx[:, 1] @ w.z_in
            if ctx.begins[t]:
                dh, dz = dh * keep[:, t, None], dz * keep[:, t, None]
            rows.append((dx, din_norm, dcore, dcore_norm, dgates, dq, dpost_norm, dlogits))
        dx, din_norm, dcore, dcore_norm, dgates, dq, dpost_norm, dlogits = (
            torch.cat(x) for x in zip(*rows, strict=True)
        )  # (T·B, ...), the last step first

        def inputs(name: str) -> Tensor:
            return torch.cat([getattr(step, name) for step in reversed(steps)])

        def per_block(x: Tensor) -> Tensor:
            return blocks(x).transpose(0, 1)

        def back(x: Tensor) -> Tensor:  # (T·B, ...) → (B, T, ...)
            return x.unflatten(0, (len(steps), -1)).flip(0).transpose(0, 1)

        dcore_, dgates_ = per_block(dcore), dgates.transpose(0, 1)
        of_weights = Weights(
            h_in=dx[:, 0].t() @ inputs("h0"), h_bias=dx[:, 0].sum(0),
            z_in=dx[:, 1].t() @ inputs("z0"), z_bias=dx[:, 1].sum(0), in_norm=din_norm.sum(0),
            core_h=per_block(inputs("h0")).transpose(1, 2) @ dcore_,
            core_in=dcore.t() @ inputs("x"), core_norm=dcore_norm.sum(0),
            gates=per_block(inputs("y")).transpose(1, 2) @ dgates_,
            gates_bias=dgates_.sum(1, keepdim=True),
            post_h=dq.t() @ inputs("h"), post_norm=dpost_norm.sum(0),
            post_out=dlogits.t() @ inputs("q"), post_bias=dlogits.sum(0),
        )  # fmt: skip
        return None, None, None, None, back(dcore), back(dq), *of_weights


def observe(
    rssm: RSSM, embeds: Tensor, actions: Tensor, is_first: Tensor, state: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """`rssm.observe`, with the same arguments and results; the state carries no gradient."""
    h, z = state
    keep = 1 - is_first.to(h.dtype)
    action_in = rssm.a_in(rssm.bound_action(actions) * keep[..., None])
    (h_in, h_norm), (z_in, z_norm), (post_norm, post_out) = rssm.h_in, rssm.z_in, rssm.post_out
    core_in, core_action = rssm.core_in.weight.split(
        [2 * len(h_norm.weight), len(h_norm.weight)], 1
    )
    gates_bias = rssm.gates.bias.unflatten(-1, (3, -1))
    gates_bias = gates_bias - gates_bias.new_tensor([0, 0, 1])[:, None]
    hs, zs, logits = Observe.apply(
        rssm, h.detach(), z.detach().flatten(1), keep,
        action_in @ core_action.t() + rssm.core_h.bias.flatten(),
        rssm.post_embed(embeds) + rssm.post_h.bias,
        *Weights(
            h_in.weight, h_in.bias, z_in.weight, z_in.bias,
            torch.stack([h_norm.weight, z_norm.weight]),
            rssm.core_h.weight, core_in, rssm.core_norm.weight,
            rssm.gates.weight, gates_bias.flatten(-2),
            rssm.post_h.weight, post_norm.weight, post_out.weight, post_out.bias,
        ),
    )  # fmt: skip
    categoricals = (rssm.stoch, rssm.classes)
    return hs, zs.unflatten(-1, categoricals), logits.unflatten(-1, categoricals)


class FusedNormAct(torch.autograd.Function):
    """`networks.norm_act` with a gradient of its own.

    Saves x and one number per row, where PyTorch's formulas save what lies between. With y = n w,
    n = x r, r = 1 / √(mean(x²) + ε), and g the gradient of y, that of x is r (g w - n mean(g w n)).
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = torch.rsqrt(norm.square() / x.shape[-1] + eps)
        ctx.save_for_backward(x, scale, weight)
        return F.silu((x * scale).mul_(weight), inplace=True)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, scale, weight = ctx.saved_tensors
        of_x = torch.empty_like(x, memory_format=torch.contiguous_format)
        of_weight = torch.zeros_like(weight)
        rows = [y.reshape(-1, y.shape[-1]) for y in (x, scale, gradient, of_x)]
        # In pieces, which fit a CPU's cache and keep what lies between small.
        pieces = (y.split(max(1, 2**18 // x.shape[-1])) for y in rows)
        for x_, scale_, g, of_x_ in zip(*pieces, strict=True):
            n = x_ * scale_
            g = torch.ops.aten.silu_backward(g, n * weight)
            product = g * n
            of_weight += product.sum(0)
            mean = product.mul_(weight).mean(-1, keepdim=True)
            torch.mul(g.mul_(weight).addcmul_(n, mean, value=-1), scale_, out=of_x_)
        return of_x, of_weight, None


def norm_act(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """`networks.norm_act`, by `FusedNormAct` where that is faster."""
    if x.device.type == "cpu" and x.numel() >= 2**16:  # a GPU has a kernel for it
        return FusedNormAct.apply(x, weight, eps)
    return plain_norm_act(x, weight, eps)


def replacements(agent, scan: bool) -> list[tuple]:
    """(owner, name, function) for what updates may do by functions of this file.

    scan   whether `observe` is wanted

    Whoever changes the code that is replaced need not change this file: each function is compared
    with it, in values and gradients, on some noise. Where they differ it is not replaced, and a
    line says so. In double precision; torch's random numbers go on as if nothing was drawn.
    """
    rssm, device = agent.world_model.rssm, agent.device
    found, changed = [], []
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        if same_norm_act():
            found.append((networks, "norm_act", norm_act))
        else:
            changed.append("norm_act")
        if scan and same_scan(copy.deepcopy(rssm).double()):
            found.append((rssm, "observe", functools.partial(observe, rssm)))
        elif scan:
            changed.append("observe")
    if changed:
        print(f"{' and '.join(changed)}: changed, so not replaced by fast.py", file=sys.stderr)
    return found


def same_norm_act() -> bool:
    torch.manual_seed(0)
    x = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, dtype=torch.float64, requires_grad=True)

    def run(function) -> list[Tensor]:
        out = function(x, weight, 0.1)
        return [out, *torch.autograd.grad(out.sin().sum(), [x, weight])]

    return equal(lambda: run(networks.norm_act), lambda: run(FusedNormAct.apply))


def same_scan(rssm: RSSM) -> bool:
    """rssm   a copy of the agent's, in double precision"""
    weight = next(rssm.parameters())

    def run(scan) -> list[Tensor]:
        torch.manual_seed(0)
        embeds, actions = (
            torch.randn(2, 3, linear.in_features).to(weight).requires_grad_()
            for linear in (rssm.post_embed, rssm.a_in[0])
        )
        is_first = weight.new_tensor([[0, 0, 1], [1, 0, 0]])
        h, z = torch.randn(2, rssm.deter).to(weight), torch.randn(2, rssm.stoch, rssm.classes)
        out = scan(embeds, actions, is_first, (h, z.to(weight)))
        total = sum((x * torch.randn(x.shape).to(x)).sum() for x in out)
        inputs = [embeds, actions, *rssm.parameters()]
        found = torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True)
        return [*out, *found]

    return equal(lambda: run(rssm.observe), lambda: run(functools.partial(observe, rssm)))


def equal(plain: Callable, fast: Callable) -> bool:
    """Whether both compute the same tensors. Where one fails, the other is another architecture."""
    try:
        pairs = zip(plain(), fast(), strict=True)
        return all(torch.allclose(x, y, 1e-6, 1e-9) for x, y in pairs)
    except Exception:
        return False
