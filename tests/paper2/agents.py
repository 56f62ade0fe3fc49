"""What the checks of DreamerV2's networks and agent share: parameters, small agents."""

import zlib
from types import SimpleNamespace

import torch
from torch import nn

from tests.numbers import F64, irregular

LOGITS = "fc_prior_logits.weight"


@torch.no_grad()
def fill(module: nn.Module, scale: float = 0.6) -> nn.Module:
    """Give every parameter irregular numbers by its name and shape; logits of latents stand out."""
    for name, parameter in module.named_parameters():
        phase = zlib.crc32(name.encode()) % 1000
        size = 9.0 if name.endswith(LOGITS) else scale
        parameter.copy_(size * irregular(*parameter.shape, phase=phase))
    return module


@torch.no_grad()
def put(module, numbers: dict):
    """Set all parameters to zero, then some: {"convs.0.weight": {(0, 1): 0.5}}."""
    for parameter in module.parameters():
        parameter.zero_()
    for name, entries in numbers.items():
        parameter = module.get_parameter(name)
        for index, number in entries.items():
            parameter[index] = torch.as_tensor(number, dtype=parameter.dtype)
    return module


# --- agents ---------------------------------------------------------------------------------------


def agent_of(code, discrete=False, actions=2, **options):
    """A small agent for a position of three numbers, its parameters filled, in float64."""
    sizes = dict(
        num_categoricals=2, num_categories=3, rnn_hidden_dim=4, rssm_hidden_dim=5, hidden_dim=6,
        head_layers=1, vector_layers=1, batch_size=2, seq_len=4, imagination_horizon=3,
        use_continue=True, gamma=0.9, lambda_=0.8, entropy_scale=0.2,
    )  # fmt: skip
    space = SimpleNamespace(n=actions) if discrete else SimpleNamespace(shape=(actions,))
    config = code.train.Config(**sizes | options)
    agent = code.train.DreamerV2({"position": SimpleNamespace(shape=(3,))}, space, config)
    fill(agent.modules).double()
    return agent


def starts(agent, count: int, ends=(0.0, 1.0, 0.0), dtype=F64) -> dict:
    """States to dream from; z is no one-hot vector, which is all the same."""
    c = agent.config
    return {
        "h": irregular(count, c.rnn_hidden_dim, phase=4.0, dtype=dtype),
        "z": irregular(count, c.state_dim, phase=5.0, dtype=dtype),
        "is_terminal": torch.tensor(ends[:count], dtype=dtype),
    }


class Steered(nn.Module):
    """A policy whose sample is tanh(feature · weight + bias), and whose mode is far from it."""

    def __init__(self, inputs: int, actions: int):
        super().__init__()
        self.weight = nn.Parameter(irregular(inputs, actions, phase=7.0))
        self.bias = nn.Parameter(irregular(actions, phase=8.0))

    def forward(self, feature):
        return SteeredPolicy(torch.tanh(feature @ self.weight + self.bias))


class SteeredPolicy:
    def __init__(self, action):
        self.action = action

    def rsample(self):
        return self.action

    def sample(self):
        return self.action.detach()

    def mode(self):
        return 0.5 - self.action


def steered(agent):
    """The agent with this policy."""
    c = agent.config
    actor = Steered(c.state_dim + c.rnn_hidden_dim, agent.actions)
    agent.actor = agent.modules["actor"] = actor
    return agent
