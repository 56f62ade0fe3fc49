"""Correct answers, written differently: terse, with library functions."""

import torch


def adaptive_gradient_clipping(parameters, clip=0.3, minimum=1e-3):
    # EXERCISE 3.28: the limit of each tensor, and its gradient shrunk to it
    for p in filter(lambda p: p.grad is not None, parameters):
        limit = clip * max(minimum, torch.linalg.vector_norm(p).item())
        p.grad = torch.renorm(p.grad.flatten()[None], 2, 0, limit).view_as(p)
    # END 3.28


class LaProp(torch.optim.Optimizer):
    def _update(self, parameter, group, rate):
        state = self.state[parameter]
        # EXERCISE 3.29: both averages, their corrections, and the step
        g, n = parameter.grad, state["count"] + 1
        state["count"] = n
        state["square"] = torch.lerp(g.square(), state["square"], group["beta2"])
        root = (state["square"] / (1 - group["beta2"] ** n)).sqrt()
        state["momentum"] = torch.lerp(g / (root + group["eps"]), state["momentum"], group["beta1"])
        parameter -= rate * state["momentum"] / (1 - group["beta1"] ** n)
        # END 3.29
