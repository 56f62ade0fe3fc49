"""DreamerV3 actor and critic: returns, their normalisation, and the losses on imagined and
replayed states.

Paper: arXiv:2301.04104v2, sections "Critic learning" and "Actor learning". Official code:
dreamerv3/agent.py, functions `imag_loss`, `repl_loss` and `lambda_return`.

Letters: B sequences, T states of a sequence (imagined: horizon + 1), F feature, A action units.
"""

import math

import torch
from torch import Tensor, nn

from paper3_dreamerv3.networks import MLP, sample_one_hot, unimix

# --- actors ---------------------------------------------------------------------------------------


class DiscreteActor(nn.Module):
    """A categorical policy. Actions are one-hot vectors.

    The paper mixes 1 % of the uniform distribution into the actor; so do we. (The official
    `categorical` head of 2026 ignores that option, the `onehot` head of 2024 had it.)
    """

    def __init__(self, inputs: int, units: int, layers: int, actions: int, ratio: float = 0.01):
        super().__init__()
        self.mlp = MLP(inputs, units, layers, actions, scale=0.01)
        self.ratio = ratio

    def forward(self, feature: Tensor) -> Tensor:
        """(..., F) → log-probabilities (..., A)"""
        return unimix(self.mlp(feature), self.ratio).log()

    def sample(self, policy: Tensor) -> Tensor:
        """Log-probabilities (..., A) → one-hot actions (..., A), without gradient."""
        return sample_one_hot(policy.detach().exp())

    def log_prob(self, policy: Tensor, action: Tensor) -> Tensor:
        """Log-probabilities (..., A), one-hot actions (..., A) → (...) nats"""
        return (policy * action.detach()).sum(-1)

    def entropy(self, policy: Tensor) -> Tensor:
        """Log-probabilities (..., A) → (...) nats"""
        return -(policy.exp() * policy).sum(-1)


class ContinuousActor(nn.Module):
    """A Normal policy with a bounded mean and standard deviation. Actions are meant for [-1, 1].

    Samples are not squashed: the environment clips them. Official heads.py, `bounded_normal`.
    """

    def __init__(self, inputs: int, units: int, layers: int, actions: int):
        super().__init__()
        self.mlp = MLP(inputs, units, layers, 2 * actions, scale=0.01)

    def forward(self, feature: Tensor) -> Tensor:
        """(..., F) → mean and standard deviation side by side (..., 2 A)

        mean = tanh(m), std = 0.9 sigmoid(s + 2) + 0.1, so std is 0.893 at first. The network's
        first A outputs are m, the other A are s.
        """
        # EXERCISE 3.20: bound the mean and the standard deviation
        # TODO: your code here (the reference takes 2 lines)
        raise NotImplementedError("exercise 3.20")
        # END 3.20

    def sample(self, policy: Tensor) -> Tensor:
        """Mean and std (..., 2 A) → actions (..., A), without gradient."""
        mean, std = policy.detach().chunk(2, -1)
        return mean + std * torch.randn_like(std)

    def log_prob(self, policy: Tensor, action: Tensor) -> Tensor:
        """Mean and std (..., 2 A), actions (..., A) → (...) nats, summed over the action's units"""
        mean, std = policy.chunk(2, -1)
        error = (action.detach() - mean) / std
        return (-0.5 * error.square() - std.log() - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self, policy: Tensor) -> Tensor:
        """Mean and std (..., 2 A) → (...) nats"""
        std = policy.chunk(2, -1)[1]
        return (std.log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)


# --- returns --------------------------------------------------------------------------------------


def compute_lambda_returns(
    rewards: Tensor, values: Tensor, continues: Tensor, is_last: Tensor, lambda_: float = 0.95
) -> Tensor:
    """R_t = r_{t+1} + c_{t+1} ((1 - λ_{t+1}) v_{t+1} + λ_{t+1} R_{t+1}), from R_T = v_T backwards.

    rewards     (B, T)   reward on entering state t; rewards[:, 0] belongs to the past and is unused
    values      (B, T)   value of state t, which excludes the reward on entering it
    continues   (B, T)   probability that the episode goes on after state t, times the discount γ
    is_last     (B, T)   1 where a sequence was cut: there λ_t = 0, so the return is the value of
                         that state. At a time limit c stays γ; at a death c is 0
    return      (B, T - 1)

    In V1 and V2 the value includes the state's own reward, so their indices differ. The paper
    prints v_t and c_t for what is v_{t+1} and c_{t+1} here. Official agent.py, `lambda_return`.
    """
    # EXERCISE 3.21: backwards from the last value; mind which state a reward belongs to
    # TODO: your code here (the reference takes 6 lines)
    raise NotImplementedError("exercise 3.21")
    # END 3.21


class ReturnNormalizer(nn.Module):
    """Scale of the returns: the range from the 5th to the 95th percentile, averaged over time.

    S = max(1, EMA(95th) - EMA(5th)), rate 0.01, from zero and without debiasing. Small returns are
    not scaled up, so that noise is not amplified where rewards are sparse. Official utils.py,
    `Normalize`, `perc`.
    """

    def __init__(self, rate: float = 0.01):
        super().__init__()
        self.rate = rate
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    @torch.no_grad()
    def update(self, returns: Tensor) -> None:
        """Take the percentiles of a batch of returns into the averages `low` and `high`.

        returns   any shape: percentiles are of all its numbers together, interpolated linearly
        """
        # EXERCISE 3.22: both percentiles of the batch, then their averages
        # TODO: your code here (the reference takes 3 lines)
        raise NotImplementedError("exercise 3.22")
        # END 3.22

    def scale(self) -> Tensor:
        """S, a number of at least 1."""
        # EXERCISE 3.23: the range, or 1 (needs 3.22)
        # TODO: your code here (the reference takes 1 line)
        raise NotImplementedError("exercise 3.23")
        # END 3.23


# --- losses ---------------------------------------------------------------------------------------


def imagination_weights(continues: Tensor) -> Tensor:
    """Probability that the dream has not ended by state t, times the discount: Π_{i ≤ t} c_i.

    continues   (B, T)
    return      (B, T)   detached; includes c_0, so dreams that start at a terminal state weigh 0

    Official agent.py, `imag_loss`.
    """
    # EXERCISE 3.24: a running product
    # TODO: your code here (the reference takes 1 line)
    raise NotImplementedError("exercise 3.24")
    # END 3.24


def actor_loss(
    log_prob: Tensor, entropy: Tensor, advantage: Tensor, weight: Tensor, entropy_scale: float
) -> Tensor:
    """REINFORCE with normalised advantages and an entropy bonus, for discrete and continuous alike.

    log_prob    (B, T)   of the action taken at state t
    entropy     (B, T)   of the policy at state t
    advantage   (B, T)   (R_t - v_t) / S
    weight      (B, T)   imagination_weights
    return      scalar: the mean over all states, each with its weight

    Advantage and weight are constants. Paper: section "Actor learning", entropy scale 3e-4.
    """
    # EXERCISE 3.25: weighted REINFORCE objective with entropy bonus, to be maximised
    # TODO: your code here (the reference takes 2 lines)
    raise NotImplementedError("exercise 3.25")
    # END 3.25


def critic_loss(critic, logits: Tensor, target: Tensor, slow_value: Tensor, weight: Tensor):
    """Two-hot cross-entropy to the return, plus the same to the slow critic's own prediction.

    critic       a TwoHotHead
    logits       (B, T, N)   the critic at state t
    target       (B, T)      λ-return of state t, in the units of the rewards: never normalised
    slow_value   (B, T)      prediction of the slow critic, a regulariser and not the target
    weight       (B, T)
    return       scalar: the mean over all states, each with its weight

    Only the logits get a gradient. Official agent.py, `imag_loss` and `repl_loss`, slowreg = 1.
    """
    # EXERCISE 3.26: both cross-entropies, weighted (needs 3.4)
    # TODO: your code here (the reference takes 2 lines)
    raise NotImplementedError("exercise 3.26")
    # END 3.26


@torch.no_grad()
def update_slow_critic(slow: nn.Module, fast: nn.Module, rate: float = 0.02) -> None:
    """slow ← (1 - rate) slow + rate fast, after every update, for all parameters.

    Buffers, such as the bins, stay as they are. Official utils.py, `SlowModel`.
    """
    # EXERCISE 3.27: every parameter goes the share `rate` of the way
    # TODO: your code here (the reference takes 2 lines)
    raise NotImplementedError("exercise 3.27")
    # END 3.27


if __name__ == "__main__":
    import course

    course.run(__file__)
