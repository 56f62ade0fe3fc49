"""DreamerV2 actor and critic: two policies, λ-returns, and the losses on imagined states.

Discrete actions learn by REINFORCE: the log-probability of what was done, times how much better
than expected it went. Continuous actions learn by dynamics backpropagation, as in V1. `rho` mixes
the two. The critic's targets come from a slow copy of it.

Paper: arXiv:2010.02193, Section 2.2, Equations 4 to 6, and Appendix A. Official code:
danijar/dreamerv2, agent.py, `ActorCritic`; common/dists.py; common/other.py, `lambda_return`.

One table holds for this whole file (L = 3 steps; official agent.py, `actor_loss`):

    state            0      1      2      3      the start, from the replay, and L dreamed ones
    action           -      1      2      3      action i *led to* state i
    reward, value    0      1      2      3      the value of a state includes its own reward
    return           0      1      2      -      the last state has its value alone
    weight           1      1      2      3      of state i: the product of all c before i

Letters: N dreams, L steps of a dream, F feature, A action units. `...` are leading dimensions.
"""

import math

import torch
from torch import Tensor, nn

from paper2_dreamerv2.networks import MLP, sample_one_hot

# --- policies -------------------------------------------------------------------------------------


class OneHot:
    """A categorical distribution over A actions, which are one-hot vectors.

    logits   (..., A)   any numbers
    """

    def __init__(self, logits: Tensor):
        self.logits = logits
        self.log_probs = torch.log_softmax(logits, -1)

    def rsample(self) -> Tensor:
        """One action (..., A), one-hot, with straight-through gradient. REINFORCE stops it."""
        return sample_one_hot(self.logits)

    def mode(self) -> Tensor:
        """The likeliest action. (..., A)"""
        index = self.logits.argmax(-1, keepdim=True)
        return torch.zeros_like(self.logits).scatter(-1, index, 1.0)

    def log_prob(self, action: Tensor) -> Tensor:
        """One-hot actions (..., A) → (...) nats"""
        return (self.log_probs * action).sum(-1)

    def entropy(self) -> Tensor:
        """(...) nats, 0 ... log A"""
        return -(self.log_probs.exp() * self.log_probs).sum(-1)


class TruncatedNormal:
    """Normal(mean, std) cut off at -1 and 1, and scaled up so that its mass is 1 again.

    mean, std   (..., A)   mean within [-1, 1]

    V1 squashed its samples with tanh; here the density between the bounds keeps its bell, and
    log-probability and entropy have closed forms. Φ is the standard normal's cumulative
    distribution, `torch.special.ndtr`; its inverse is `torch.special.ndtri`.
        below   Φ((-1 - mean) / std), what is cut off on the left
        mass    Φ((1 - mean) / std) - below, what is left
    Official dists.py, `TruncNormalDist`.
    """

    def __init__(self, mean: Tensor, std: Tensor):
        self.mean, self.std = mean, std
        self.left, self.right = (-1 - mean) / std, (1 - mean) / std
        self.below = torch.special.ndtr(self.left)
        self.mass = torch.special.ndtr(self.right) - self.below

    def rsample(self) -> Tensor:
        """One action (..., A) strictly within (-1, 1), with gradient to mean and std.

        The inverse of the cumulative distribution at a uniform number u (`torch.rand_like`):
            action = mean + std · Φ⁻¹(below + u · mass)
        Φ⁻¹ is infinite at 0 and 1, and rounding gets there: clamp the cumulative probability to
        tiny ... 1 - tiny before. The given last line keeps `action` itself off the bounds.
        """
        tiny = torch.finfo(self.mean.dtype).eps
        # EXERCISE 2.12: the cumulative probability p at a random place, the action there
        # TODO: your code here (the reference takes 2 lines)
        raise NotImplementedError("exercise 2.12")
        # END 2.12
        return action + (action.clamp(-1 + 1e-6, 1 - 1e-6) - action).detach()

    def mode(self) -> Tensor:
        """The likeliest action: the mean of the uncut Normal. (..., A)"""
        return self.mean

    def log_prob(self, action: Tensor) -> Tensor:
        """Log-density of actions within the bounds, summed over units. (..., A) → (...) nats

        That of Normal(mean, std), minus log(mass): log(σ √(2π)) and half the squared distance in
        units of σ go off, and cutting makes what is left denser. With gradient to mean, std and
        action; finite where the density itself is too small for float32.
        """
        # EXERCISE 2.13: the log-density of the Normal, corrected for the cut; sum over units
        # TODO: your code here (the reference takes 3 lines)
        raise NotImplementedError("exercise 2.13")
        # END 2.13

    def entropy(self) -> Tensor:
        """(...) nats: log(σ mass √(2πe)) + (l φ(l) - r φ(r)) / (2 mass), l, r: the bounds in σ."""

        def slope(x: Tensor) -> Tensor:  # x φ(x)
            return x * torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)

        scale = torch.log(self.std * self.mass) + 0.5 * math.log(2 * math.pi * math.e)
        return (scale + (slope(self.left) - slope(self.right)) / (2 * self.mass)).sum(-1)


class Actor(nn.Module):
    """The policy: feature → OneHot for discrete actions, TruncatedNormal for continuous ones.

        mean = tanh(raw mean),   std = 2 sigmoid(raw std / 2) + 0.1

    so std starts at 1.1 and stays within 0.1 ... 2.1. Official nets.py, `DistLayer` with
    'onehot' and 'trunc_normal'.
    """

    def __init__(
        self, inputs: int = 1224, action_dim: int = 1, discrete: bool = False, layers: int = 4,
        units: int = 400, layer_norm: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.discrete = discrete
        outputs = action_dim if discrete else 2 * action_dim
        self.mlp = MLP(inputs, layers, units, outputs, layer_norm)

    def forward(self, feature: Tensor) -> OneHot | TruncatedNormal:
        """(..., F) → distribution of actions (..., A)"""
        if self.discrete:
            return OneHot(self.mlp(feature))
        mean, std = self.mlp(feature).chunk(2, -1)
        return TruncatedNormal(torch.tanh(mean), 2 * torch.sigmoid(std / 2) + 0.1)


class Critic(nn.Module):
    """Feature → value: the mean of a Normal(·, 1) over the return of the state. (..., F) → (...)

    The value of a state includes the reward predicted at this very state, as in V1.
    """

    def __init__(
        self, inputs: int = 1224, layers: int = 4, units: int = 400, layer_norm: bool = False
    ):
        super().__init__()
        self.mlp = MLP(inputs, layers, units, 1, layer_norm)

    def forward(self, feature: Tensor) -> Tensor:
        return self.mlp(feature).squeeze(-1)


# --- returns --------------------------------------------------------------------------------------


def compute_lambda_returns(
    rewards: Tensor, values: Tensor, continues: Tensor, gamma: float = 0.99, lambda_: float = 0.95
) -> Tensor:
    """R_t = r_t + γ c_t ((1 - λ) v_{t+1} + λ R_{t+1}), backwards from R_L = v_L.

    rewards     (N, L)       reward of state t
    values      (N, L + 1)   value of state t, from the slow critic; the last is the bootstrap
    continues   (N, L)       whether the episode goes on after state t, 0 ... 1
    gamma       enters once a step; pass 1 where the continues hold it already
    lambda_     share of R_{t+1} in the mixture, 0 ... 1
    return      (N, L)       with gradient to all three inputs, which stay as they are

    The function of V1; only who calls it with what has changed, and will change again in V3.
    Paper: Equation 4; official other.py, `lambda_return`.
    """
    # EXERCISE 2.14: the recursion from the last step to the first; the result in order of time
    # TODO: your code here (the reference takes 5 lines)
    raise NotImplementedError("exercise 2.14")
    # END 2.14


def compute_discount_weights(continues: Tensor) -> Tensor:
    """How much a dreamed state counts: the discounted probability that the dream got there.

    continues   (N, L + 1)   of every state, the start among them, with γ in them
    return      (N, L + 1)   [1, c_0, c_0 c_1, ...]: the product over all states *before* i;
                             detached

    Whether an episode goes on after state i says whether state i + 1 exists, not state i. A dream
    that starts at a true end has c_0 = 0, so nothing after its start counts.
    Official agent.py, `WorldModel.imagine`: `seq['weight']`.
    """
    # EXERCISE 2.15: a cumulative product that starts with 1 and leaves out the last c
    # TODO: your code here (the reference takes 2 lines)
    raise NotImplementedError("exercise 2.15")
    # END 2.15


# --- losses ---------------------------------------------------------------------------------------


def compute_actor_loss(
    actor: nn.Module, feature: Tensor, action: Tensor, returns: Tensor, values: Tensor,
    weights: Tensor, rho: float = 1.0, entropy_scale: float = 1e-3,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """REINFORCE, dynamics backpropagation, or a mixture, and an entropy bonus.

    actor      feature → OneHot or TruncatedNormal
    feature    (N, L + 1, F)   the dreamed states, the start among them
    action     (N, L + 1, A)   action[:, i] led to state i; action[:, 0] is nobody's
    returns    (N, L)          of states 0 ... L - 1, attached where rho < 1
    values     (N, L + 1)      the slow critic's: the baseline
    weights    (N, L + 1)      of compute_discount_weights
    rho        1: REINFORCE alone, 0: dynamics backpropagation alone
    return     loss, a scalar: minus the mean over all (N, L - 1) terms; entropy (N, L - 1),
               attached

    The policy at state i chose action i + 1, which led to state i + 1, and *its* return tells how
    well that went. So term i = 0 ... L - 2 is made of

        log π(action i + 1 | state i),   return i + 1,   value i,   entropy at i,   weight i
        weight · (ρ log π · (return - value) + (1 - ρ) return + entropy_scale · entropy)

    The return of state 0 belongs to no action of the dream; the last state's action led nowhere.
    Weight i lacks c_i, so a policy *in* a state of death still learns a little: harmless.
    The policy sees detached features. Actions in log π and the whole advantage are detached too:
    a reparameterised action would cancel part of the gradient of log π.
    Paper: Equation 6; official agent.py, `ActorCritic.actor_loss`.
    """
    # EXERCISE 2.16: the policy of states 0 ... L - 2, its log-probabilities, the weighted mean
    # TODO: your code here (the reference takes 6 lines)
    raise NotImplementedError("exercise 2.16")
    # END 2.16


def compute_critic_loss(
    critic: nn.Module, feature: Tensor, returns: Tensor, weights: Tensor
) -> Tensor:
    """Negative log-likelihood of the returns under Normal(value, 1), weighted, without constant.

    critic    feature → value
    feature   (N, L + 1, F)   only the critic learns here: detach them
    returns   (N, L)          of states 0 ... L - 1; no gradient goes through them
    weights   (N, L + 1)      nor through these
    return    scalar, the mean over (N, L) of w (v - R)² / 2

    Unlike the actor, the critic learns about the start too. Paper: Equation 5; official agent.py,
    `ActorCritic.critic_loss`.
    """
    # EXERCISE 2.17: values of all states but the last, half squared errors, weighted, averaged
    # TODO: your code here (the reference takes 2 lines)
    raise NotImplementedError("exercise 2.17")
    # END 2.17


@torch.no_grad()
def update_slow_critic(slow: nn.Module, fast: nn.Module, updates: int, interval: int = 100) -> None:
    """Copy the critic into its slow twin after update 0, 100, 200, ..., and never in between.

    slow, fast   networks of the same shape; fast stays as it is, and they share no memory
    updates      how many updates were finished before this one
    interval     updates from one copy to the next

    A target that moved with every update would chase itself; V1 lived with that.
    Paper: Section 2.2; official agent.py, `update_slow_target`.
    """
    # EXERCISE 2.18: at every multiple of the interval a full copy
    # TODO: your code here (the reference takes 2 lines)
    raise NotImplementedError("exercise 2.18")
    # END 2.18


if __name__ == "__main__":
    import course

    course.run(__file__)
