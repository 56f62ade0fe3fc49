"""DreamerV1 actor and critic: the policy, λ-returns, and the losses on imagined states.

The actor learns by dynamics backpropagation: the world model is differentiable, so the gradient of
the imagined return flows back through values, rewards, states and actions into the policy. There
is no policy gradient, baseline or target network.

Paper: arXiv:1912.01603, Section 3 and Algorithm 1. Official code: danijar/dreamer, models.py,
`ActionDecoder`; tools.py, `TanhBijector`, `lambda_return`; dreamer.py, `train`.

Letters: B dreams, H steps of a dream, F feature, A action units. `...` are leading dimensions.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paper1_dreamerv1.networks import DenseDecoder

# --- policy ---------------------------------------------------------------------------------------


class TanhNormal:
    """The distribution of tanh(u) with u from Normal(mean, std): every action lies in [-1, 1].

    mean, std   (..., A)   of u, before the tanh
    """

    def __init__(self, mean: Tensor, std: Tensor):
        self.mean, self.std = mean, std

    def rsample(self) -> Tensor:
        """One action (..., A), with gradient to mean and std (the reparameterisation trick)."""
        # EXERCISE 1.20: a reparameterised sample of Normal(mean, std), then tanh
        # TODO: your code here (the reference takes 1 line)
        raise NotImplementedError("exercise 1.20")
        # END 1.20

    def mode(self) -> Tensor:
        """The action to take where nothing is explored: tanh(mean). (..., A)

        The official code takes the likeliest of 100 samples, which is random; this is not.
        """
        return torch.tanh(self.mean)

    def entropy(self, samples: int = 16) -> Tensor:
        """Entropy in nats, estimated: there is no closed form. (...)

        That of Normal(mean, std), plus the mean of log(1 - tanh(u)²), the logarithm of the slope
        of tanh. V1's losses do not use it; the official code logs it, from 100 samples.
        """
        noise = torch.randn(samples, *self.std.shape, dtype=self.std.dtype, device=self.std.device)
        u = self.mean + self.std * noise
        slope = 2 * (math.log(2) - u - F.softplus(-2 * u))  # log(1 - tanh(u)²), safe for large u
        normal = torch.log(self.std) + 0.5 * math.log(2 * math.pi * math.e)
        return (normal + slope.mean(0)).sum(-1)


class Actor(nn.Module):
    """The policy: feature → TanhNormal over actions in [-1, 1].

    init_std     standard deviation before the tanh where the network puts out 0: large, so that
                 first actions are near -1 or 1 and explore
    mean_scale   the mean stays within ±mean_scale, where tanh has a little slope left
    Official models.py, `ActionDecoder` with dist='tanh_normal'.
    """

    def __init__(
        self, inputs: int = 230, action_dim: int = 1, layers: int = 4, units: int = 400,
        init_std: float = 5.0, min_std: float = 1e-4, mean_scale: float = 5.0,
    ):  # fmt: skip
        super().__init__()
        self.mlp = DenseDecoder(inputs, layers, units, 2 * action_dim)
        self.init_std, self.min_std, self.mean_scale = init_std, min_std, mean_scale

    def forward(self, feature: Tensor) -> TanhNormal:
        """(..., F) → TanhNormal of actions (..., A).

        `mlp` puts out (..., 2 A): first the A raw means, then the A raw stds.
            mean = mean_scale tanh(raw mean / mean_scale)
            std  = softplus(raw std + log(exp(init_std) - 1)) + min_std
        A raw std of 0 gives init_std + min_std, because softplus(log(exp(x) - 1)) = x.
        """
        # EXERCISE 1.21: split the output in two; bound the mean, make the std positive
        # TODO: your code here (the reference takes 4 lines)
        raise NotImplementedError("exercise 1.21")
        # END 1.21


def add_exploration_noise(action: Tensor, scale: float) -> Tensor:
    """Normal(0, scale) noise on every entry of an action, kept within [-1, 1]. (..., A) → (..., A)

    For collecting data, not for evaluation, nor in dreams. Official dreamer.py, `_exploration`,
    scale 0.3.
    """
    return (action + scale * torch.randn_like(action)).clamp(-1, 1)


class Critic(nn.Module):
    """Feature → value: the mean of a Normal(·, 1) over the return of the state. (..., F) → (...)

    The value of a state includes the reward predicted at this very state. The paper uses no
    target network.
    """

    def __init__(self, inputs: int = 230, layers: int = 3, units: int = 400):
        super().__init__()
        self.mlp = DenseDecoder(inputs, layers, units)

    def forward(self, feature: Tensor) -> Tensor:
        """(..., F) → (...): the last dimension, of size 1, is dropped.

        The gradient reaches the feature too: the actor learns through it.
        """
        # EXERCISE 1.22: the network, without its last dimension
        # TODO: your code here (the reference takes 1 line)
        raise NotImplementedError("exercise 1.22")
        # END 1.22


# --- returns --------------------------------------------------------------------------------------


def compute_lambda_returns(
    rewards: Tensor, values: Tensor, continues: Tensor, gamma: float = 0.99, lambda_: float = 0.95
) -> Tensor:
    """R_t = r_t + γ c_t ((1 - λ) v_{t+1} + λ R_{t+1}), backwards from R_H = v_H.

    rewards     (B, H)       reward of state t
    values      (B, H + 1)   value of state t; one more than rewards: the last is the bootstrap
    continues   (B, H)       whether the episode goes on after state t, 0 ... 1
    gamma       enters once a step; pass 1 where the continues hold it already
    lambda_     share of R_{t+1} in the mixture, 0 ... 1
    return      (B, H)       with gradient to all three inputs, which stay as they are

    The return of step t continues in the *next* state. Its own value v_t is not used; v_t is what
    is trained towards R_t. Paper: Equation 6; official tools.py, `lambda_return`.
    """
    # EXERCISE 1.23: from the last step to the first; then put them in order of time
    # TODO: your code here (the reference takes 7 lines)
    raise NotImplementedError("exercise 1.23")
    # END 1.23


def compute_discount_weights(continues: Tensor, gamma: float = 0.99) -> Tensor:
    """How much a dreamed state counts: the discounted probability that the dream got there.

    continues   (B, H)
    return      (B, H)   [1, γ c_0, γ² c_0 c_1, ...]: the product of γ c over all states *before*
                         t; detached

    Without them, what a dream does after its episode's end would be trained on as well.
    Official dreamer.py, `train`: `discount`.
    """
    # EXERCISE 1.24: a cumulative product that starts with 1 and leaves out the last c
    # TODO: your code here (the reference takes 3 lines)
    raise NotImplementedError("exercise 1.24")
    # END 1.24


# --- losses ---------------------------------------------------------------------------------------


def actor_loss(returns: Tensor, weights: Tensor) -> Tensor:
    """Minus the mean of weight × return: the gradient comes through the returns themselves.

    returns   (B, H)   attached: R depends on the actions through the world model
    weights   (B, H)   of compute_discount_weights; no gradient goes through them
    return    scalar, divided by the number of entries B × H, not by the sum of the weights

    Paper: Equation 7; official dreamer.py, `train`: `actor_loss`.
    """
    # EXERCISE 1.25: the mean over all dreams and steps, to be minimised
    # TODO: your code here (the reference takes 1 line)
    raise NotImplementedError("exercise 1.25")
    # END 1.25


def critic_loss(values: Tensor, returns: Tensor, weights: Tensor) -> Tensor:
    """Negative log-likelihood of the returns under Normal(value, 1), weighted, without constant.

    values    (B, H)   the critic's predictions, attached to the critic alone
    returns   (B, H)   the targets: no gradient goes through them
    weights   (B, H)   nor through these
    return    scalar, the mean of w (v - R)² / 2

    Paper: Equation 8; official dreamer.py, `train`: `value_loss`.
    """
    # EXERCISE 1.26: half the squared error to the fixed target, weighted, averaged
    # TODO: your code here (the reference takes 2 lines)
    raise NotImplementedError("exercise 1.26")
    # END 1.26


if __name__ == "__main__":
    import course

    course.run(__file__)
