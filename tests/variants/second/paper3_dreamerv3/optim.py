"""Correct answers, written differently: explicit loops and elementary operations."""

import torch


def adaptive_gradient_clipping(parameters, clip=0.3, minimum=1e-3):
    # EXERCISE 3.28: the limit of each tensor, and its gradient shrunk to it
    for parameter in parameters:
        grad = parameter.grad
        if grad is None:
            continue
        size = float((parameter * parameter).sum()) ** 0.5
        steep = float((grad.double() ** 2).sum()) ** 0.5
        limit = clip * (size if size > minimum else minimum)
        if steep > limit:
            parameter.grad = grad / steep * limit
    # END 3.28


class LaProp(torch.optim.Optimizer):
    def _update(self, parameter, group, rate):
        state = self.state[parameter]
        # EXERCISE 3.29: both averages, their corrections, and the step
        beta1, beta2, eps = group["beta1"], group["beta2"], group["eps"]
        state["count"] += 1
        kept1, kept2 = beta1 ** state["count"], beta2 ** state["count"]
        new = parameter.detach().clone().flatten()
        grads = parameter.grad.flatten()
        squares, momenta = state["square"].view(-1), state["momentum"].view(-1)
        for i in range(len(new)):
            g = grads[i]
            squares[i] = beta2 * squares[i] + (1 - beta2) * g * g
            scaled = g / (torch.sqrt(squares[i] / (1 - kept2)) + eps)
            momenta[i] = beta1 * momenta[i] + (1 - beta1) * scaled
            new[i] -= rate * (momenta[i] / (1 - kept1))
        parameter.copy_(new.view_as(parameter))
        # END 3.29
