"""What the checks of DreamerV3's agent share: small agents, their networks written out."""

import zlib
from types import SimpleNamespace

import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from tests import oracle
from tests.numbers import irregular

# Weights before logits: one class has most of the probability, and not always the same one.
LARGE = {"prior_mlp.4.weight": 25.0, "post_out.1.weight": 9.0, "actor.mlp.2.weight": 9.0}


@torch.no_grad()
def fill(module: nn.Module, scale: float = 0.6) -> nn.Module:
    """Give every parameter irregular numbers by its name and shape; logits of samples stand out."""
    for name, parameter in module.named_parameters():
        phase = zlib.crc32(name.encode()) % 1000 + 34
        size = next((x for end, x in LARGE.items() if name.endswith(end)), scale)
        parameter.copy_(size * irregular(*parameter.shape, phase=phase))
    return module


def agent_of(code, discrete=True, actions=2, **options):
    """A small agent for a position of three numbers, its parameters filled, in float64."""
    sizes = dict(
        deter=4, hidden=3, stoch=2, classes=3, blocks=2, units=3, layers=1, head_layers=1, bins=7,
        bin_limit=2.0, batch_size=2, batch_length=3, imagine_length=3, discount_horizon=5,
        lambda_=0.8, entropy_scale=0.2, warmup=0,
    )  # fmt: skip
    space = SimpleNamespace(n=actions) if discrete else SimpleNamespace(shape=(actions,))
    config = code.train.Config(**sizes | options)
    with _disable_current_modes():  # quicker: no random number of the start is left
        agent = code.train.Agent({"position": SimpleNamespace(shape=(3,))}, space, config)
        fill(agent.modules).double()
    return agent


def states(agent, batch: int, steps: int, attached=True):
    """h (B, T, H) and z (B, T, S, K) to start from; z is no one-hot vector, which is all the same.

    attached   whether they have a gradient, as the world model's have
    """
    c = agent.config
    h = irregular(batch, steps, c.deter, phase=4.0)
    z = irregular(batch, steps, c.stoch, c.classes, phase=5.0)
    return h.requires_grad_(attached), z.requires_grad_(attached)


def numbers_of(agent, prefix: str) -> dict:
    """The parameters of one part as nested lists."""
    state = agent.modules.state_dict().items()
    return {name[len(prefix) :]: x.tolist() for name, x in state if name.startswith(prefix)}


def guesses(agent, name: str, rows: list) -> list:
    """What a two-hot head (`critic`, `slow_critic`, `world_model.reward`) predicts.

    rows   of features: lists of any depth
    """
    c, p = agent.config, numbers_of(agent, f"{name}.mlp.")
    layers = c.head_layers if name.endswith("reward") else c.layers
    bins = oracle.symexp_bins(c.bins, c.bin_limit)

    def guess(x):
        if isinstance(x[0], list):
            return [guess(row) for row in x]
        return oracle.two_hot_mean(oracle.rms_dense(x, p, layers), bins)

    return guess(rows)


def critic_terms(agent, feature, *targets: float):
    """Cross-entropies of the critic at one state, added up; its parameters are the agent's own.

    Written for one hidden layer of the paper's kind. The targets are numbers, so they are fixed.
    """
    c = agent.config
    first, gain, last = (
        dict(agent.critic.mlp[i].named_parameters()) for i in range(len(agent.critic.mlp))
    )
    hidden = first["weight"] @ feature + first["bias"]
    hidden = gain["weight"] * hidden / (hidden.square().sum() / len(hidden) + 1e-4).sqrt()
    logits = last["weight"] @ (hidden / (1 + torch.exp(-hidden))) + last["bias"]
    log_probs = logits - torch.log(torch.exp(logits).sum())
    bins = oracle.symexp_bins(c.bins, c.bin_limit)
    weights = [torch.tensor(oracle.two_hot(x, bins)).to(log_probs) for x in targets]
    return -sum((w * log_probs).sum() for w in weights)


class Steered(nn.Module):
    """A policy whose output is tanh(feature · weight + bias), and whose sample is far from it.

    Call n of `sample` adds noise[n]; the last number stays.
    """

    def __init__(self, inputs: int, actions: int):
        super().__init__()
        self.weight = nn.Parameter(irregular(inputs, actions, phase=7.0))
        self.bias = nn.Parameter(irregular(actions, phase=8.0))
        self.noise, self.calls = [0.0], 0

    def forward(self, feature):
        return torch.tanh(feature @ self.weight + self.bias)

    def sample(self, policy):
        noise = self.noise[min(self.calls, len(self.noise) - 1)]
        self.calls += 1
        return 0.5 - 1.5 * policy.detach() + noise


def steered(agent, *noise: float):
    """The agent with this policy."""
    c = agent.config
    actor = Steered(c.deter + c.stoch * c.classes, agent.actions)
    actor.noise = [*noise, 0.0]
    agent.actor = agent.modules["actor"] = actor
    return agent
