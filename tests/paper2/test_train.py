"""Checks of DreamerV2's agent: dreams with predictions, the two losses, one step of an optimiser.

Sources: arXiv:2010.02193, Section 2.2 and Appendix A; danijar/dreamerv2, agent.py, `imagine`,
`target`, `ActorCritic.train`; common/tfutils.py, `Optimizer`.
"""

import functools
import math

import torch

from course.checks import check
from tests import oracle
from tests.paper2.help_g1 import F64, agent_of, gradients, irregular, starts, steered

# --- 2.20 DreamerV2.imagine -----------------------------------------------------------------------

NAMES = ("feature", "action", "rewards", "continues", "values")
SHAPES = "S=2, K=3, H=4, A=2"


def numbers_of(agent, prefix: str) -> dict:
    state = agent.modules.state_dict().items()
    return {name[len(prefix) :]: x.tolist() for name, x in state if name.startswith(prefix)}


def dreamed(agent, start, horizon=None, bias=None, fixed=None) -> dict:
    """What `imagine` has to return, by slow loops: one list for each dream, and `states`."""
    c = agent.config
    weight = agent.actor.weight.tolist()
    bias = agent.actor.bias.tolist() if bias is None else bias
    found = {name: [] for name in (*NAMES, "states")}

    def policy(feature):
        sums = oracle.linear(feature, list(zip(*weight, strict=True)), bias)
        return [math.tanh(x) for x in sums]

    def head(prefix, features):
        return [oracle.dense(f, numbers_of(agent, prefix), c.head_layers)[0] for f in features]

    ends = start["is_terminal"].tolist()
    for n, (h, z) in enumerate(zip(start["h"].tolist(), start["z"].tolist(), strict=True)):
        states = oracle.dreamed_states(
            h, z, policy, horizon or c.imagination_horizon, numbers_of(agent, "model.rssm."),
            c.num_categories, fixed and fixed["states"][n],
        )  # fmt: skip
        features = [[*s["z"], *s["h"]] for s in states]
        goes_on = [c.gamma] * len(features)
        if c.use_continue:
            goes_on = [oracle.sigmoid(x) for x in head("model.continues.", features)]
            goes_on[0] = 0.0 if ends[n] else c.gamma
        rows = (features, [s["action"] for s in states], head("model.reward.", features), goes_on,
                head("slow_critic.mlp.", features), states)  # fmt: skip
        for name, row in zip(found, rows, strict=True):
            found[name].append(row)
    return found


@check(
    "2.20",
    "a dream has L + 1 states; all is predicted at all of them, values by the slow critic",
    given=f"a policy that returns tanh(feature · weight + bias); N=3, L=3, γ=0.9, {SHAPES}; "
    "the second start is terminal",
)
def dream_with_predictions(code):
    agent = steered(agent_of(code, actor_grad="dynamics"))
    start = starts(agent, 3)
    before = {key: x.clone() for key, x in start.items()}
    want, found = dreamed(agent, start), agent.imagine(start)
    for name, got in zip(NAMES, found, strict=True):
        yield name, got, want[name]
    changed = [key for key, x in start.items() if not torch.equal(x, before[key])]
    yield "parts of the start that were changed by the call", changed, []
    again = agent.imagine(start)
    yield "rewards of a second call", again[2], want["rewards"]


@check(
    "2.20",
    "at the start the true γ (1 - is_terminal) stands in the place of a prediction",
    given="N=3, is_terminal [0 1 0], γ=0.9; then N=2, L=2, is_terminal [1 0], γ=0.7",
)
def truth_at_the_start(code):
    for count, length, gamma, ends in ((3, 3, 0.9, (0.0, 1.0, 0.0)), (2, 2, 0.7, (1.0, 0.0))):
        agent = steered(
            agent_of(code, actor_grad="dynamics", imagination_horizon=length, gamma=gamma)
        )
        start = starts(agent, count, ends)
        continues = agent.imagine(start)[3]
        want = dreamed(agent, start)["continues"]
        yield f"shape, L={length}", tuple(continues.shape), (count, length + 1)
        yield f"continues at the start, L={length}", continues[:, 0], [gamma * (1 - e) for e in ends]
        yield f"continues after it, L={length}", continues[:, 1:], [row[1:] for row in want]
        yield f"is_terminal after the call, L={length}", start["is_terminal"], list(ends)


@check(
    "2.20",
    "without a continue predictor nothing is corrected: γ everywhere",
    given="N=3, L=2, is_terminal [0 1 0], γ=0.8",
)
def no_predictor(code):
    agent = steered(
        agent_of(code, actor_grad="dynamics", use_continue=False, gamma=0.8, imagination_horizon=2)
    )
    start = starts(agent, 3)
    _, _, rewards, continues, values = agent.imagine(start)
    want = dreamed(agent, start)
    yield "continues", continues, [[0.8] * 3] * 3
    yield "rewards", rewards, want["rewards"]
    yield "values", values, want["values"]


@check(
    "2.20",
    "with dynamics backpropagation every prediction feels the policy, through states and actions",
    given="N=2, L=3; the slopes of Σ w · prediction along the policy's bias, w irregular; expected: "
    "finite differences, the classes of z fixed",
)
def gradient_through_the_dream(code):
    for kind in ("dynamics", "both"):
        agent = steered(agent_of(code, actor_grad=kind))
        start = starts(agent, 2)
        bias = agent.actor.bias.tolist()
        first = dreamed(agent, start)
        moved = functools.cache(lambda b, a=agent, s=start, f=first: dreamed(a, s, bias=b, fixed=f))
        found = agent.imagine(start)
        for name, x, phase in zip(NAMES, found, range(5), strict=True):
            weights = irregular(*x.shape, phase=phase)

            def total(b, name=name, weights=weights, moved=moved):
                return float((torch.tensor(moved(tuple(b))[name], dtype=F64) * weights).sum())

            [slope] = gradients((x * weights).sum(), agent.actor.bias)
            yield f"slopes of {name}, {kind}", slope, oracle.slopes(total, bias)


@check(
    "2.20",
    "REINFORCE needs no gradient through the dream",
    given="a discrete actor of three actions, ρ = 1; N=2, L=3",
)
def no_gradient_for_reinforce(code):
    agent = agent_of(code, discrete=True, actions=3)
    found = agent.imagine(starts(agent, 2))
    attached = [name for name, x in zip(NAMES, found, strict=True) if x.requires_grad]
    yield "what has a gradient", attached, []
    yield "each action is one-hot, but for the first", found[1].sum(-1), [[0.0, 1.0, 1.0, 1.0]] * 2
    shapes = [tuple(x.shape) for x in found]
    yield "shapes", shapes, [(2, 4, 10), (2, 4, 3), (2, 4), (2, 4), (2, 4)]


@check(
    "2.20",
    "one dream of one start; type and device are those of the start",
    given="N=1, L=3 in float32; then N=2 on the device 'meta', which mixes with no other",
)
def types_of_a_dream(code):
    agent = steered(agent_of(code, actor_grad="dynamics"))
    want = dreamed(agent, starts(agent, 1))
    agent.modules.float()
    found = agent.imagine(starts(agent, 1, dtype=torch.float32))
    for name, got in zip(NAMES, found, strict=True):
        yield name, got, want[name], 1e-4
    yield "dtypes", sorted({str(x.dtype) for x in found}), ["torch.float32"]
    agent.modules.to("meta")
    start = {key: x.to("meta") for key, x in starts(agent, 2, dtype=torch.float32).items()}
    yield "devices", sorted({str(x.device) for x in agent.imagine(start)}), ["meta"]
