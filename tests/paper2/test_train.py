"""Checks of DreamerV2's agent: dreams with predictions, the two losses, one step of an optimiser.

Sources: arXiv:2010.02193, Section 2.2 and Appendix A; danijar/dreamerv2, agent.py, `imagine`,
`target`, `ActorCritic.train`; common/tfutils.py, `Optimizer`.
"""

import functools
import math

import torch

from course.checks import check
from tests import oracle
from tests.numbers import F64, gradients, irregular
from tests.paper2.agents import agent_of, starts, steered

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
        yield (
            f"continues at the start, L={length}",
            continues[:, 0],
            [gamma - gamma * e for e in ends],
        )
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
    given="N=2, L=3; slopes of Σ w · prediction along the policy's bias, w irregular; expected: "
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
    given="ρ = 1; N=2, L=3; the first start is terminal; then a discrete actor of three actions",
)
def no_gradient_for_reinforce(code):
    agent = steered(agent_of(code, discrete=True, actions=2))
    start = starts(agent, 2, (1.0, 0.0))
    found, want = agent.imagine(start), dreamed(agent, start)
    attached = [name for name, x in zip(NAMES, found, strict=True) if x.requires_grad]
    yield "what has a gradient", attached, []
    for name, got in zip(NAMES, found, strict=True):
        yield f"{name}, for a policy that returns tanh(feature · weight + bias)", got, want[name]
    agent = agent_of(code, discrete=True, actions=3)
    found = agent.imagine(starts(agent, 2))
    yield "each action is one-hot, but for the first", found[1].sum(-1), [[0.0, 1.0, 1.0, 1.0]] * 2
    shapes = [tuple(x.shape) for x in found]
    yield "shapes", shapes, [(2, 4, 10), (2, 4, 3), (2, 4), (2, 4), (2, 4)]


def repeated(state, actor, horizon):
    """A dream in which nothing happens."""
    action = actor(torch.cat([state["z"], state["h"]], -1))
    dream = {"h": state["h"], "z": state["z"], "action": action}
    return {name: x[:, None].expand(-1, horizon + 1, -1) for name, x in dream.items()}


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
    agent.world_model.rssm.rollout_imagination = repeated  # all of a learner's own may look inside
    start = {key: x.to("meta") for key, x in starts(agent, 2, dtype=torch.float32).items()}
    yield "devices", sorted({str(x.device) for x in agent.imagine(start)}), ["meta"]


# --- 2.21 DreamerV2.train_actor_critic ------------------------------------------------------------

DATA = ("feature", "action", "rewards", "continues", "values")
PARTS = ("policy", "value")


def dream_of(agent, count: int, dtype=F64, attached=True) -> dict:
    """A dream of irregular numbers in the place of `imagine`; its actions are one-hot."""
    c = agent.config
    steps, shape = c.imagination_horizon + 1, (count, c.imagination_horizon + 1)
    kinds = (torch.arange(count * steps) * 5 // 3 % agent.actions).view(shape)
    data = {
        "feature": irregular(*shape, c.state_dim + c.rnn_hidden_dim, phase=1.0),
        "action": torch.nn.functional.one_hot(kinds, agent.actions),
        "rewards": 2 * irregular(*shape, phase=2.0),
        "continues": 0.6 + 0.3 * irregular(*shape, phase=3.0),
        "values": 3 * irregular(*shape, phase=4.0),
    }
    return {name: x.to(dtype).requires_grad_(attached) for name, x in data.items()}


def losses_of(agent, data: dict):
    """({"policy", "value": the losses that the agent would step on}, its metrics)."""
    losses = {}
    names = {"actor": "policy", "critic": "value"}
    agent.imagine = lambda start: tuple(data.values())
    agent.update = lambda name, loss: losses.update({names[name]: loss})
    metrics = agent.train_actor_critic(starts(agent, len(data["values"])))
    return losses, metrics


def expected(agent, data: dict, actor=None, critic=None, **given) -> dict:
    """The same, by slow loops. `given` replaces lists of every dream."""
    c, dreams = agent.config, []
    actor = actor or numbers_of(agent, "actor.mlp.")
    critic = critic or numbers_of(agent, "critic.mlp.")
    x = {name: part.tolist() for name, part in data.items()} | given
    for n, features in enumerate(x["feature"]):
        probs = [oracle.softmax(oracle.dense(f, actor, c.head_layers)) for f in features]
        dream = {name: x[name][n] for name in ("rewards", "continues", "values")}
        dream |= {name: x[name][n] for name in ("targets", "baseline", "weights") if name in x}
        dream["guesses"] = [oracle.dense(f, critic, c.head_layers)[0] for f in features]
        chosen = zip(probs[:-1], x["action"][n][1:], strict=True)
        dream["log_probs"] = [math.log(p[a.index(max(a))]) for p, a in chosen]
        dream["entropies"] = [-sum(p * math.log(p) for p in row) for row in probs]
        dreams.append(dream)
    return oracle.policy_and_value_losses(dreams, c.lambda_, agent.rho, c.entropy_scale) | {
        "entropies": [dream["entropies"][: c.imagination_horizon - 1] for dream in dreams]
    }


def mean(rows: list) -> float:
    numbers = [x for row in rows for x in row]
    return sum(numbers) / len(numbers)


@check(
    "2.21",
    "REINFORCE: returns of all states but the last, weights of all, and the two losses of them",
    given="N=3 dreams, L=4, 3 discrete actions, λ=0.8, entropy_scale 0.2; imagine() gives "
    "irregular numbers",
)
def losses_with_reinforce(code):
    agent = agent_of(code, discrete=True, actions=3, imagination_horizon=4)
    data = dream_of(agent, 3, attached=False)
    before = {name: x.clone() for name, x in data.items()}
    (losses, metrics), want = losses_of(agent, data), expected(agent, data)
    yield "mean return", metrics["return"], mean(want["returns"])
    yield "policy loss", losses["policy"], want["policy"]
    yield "value loss", losses["value"], want["value"]
    yield "mean entropy", metrics["entropy"], mean(want["entropies"])
    changed = [name for name in DATA if not torch.equal(data[name], before[name])]
    yield "parts of the dream that were changed by the call", changed, []


@check(
    "2.21",
    "ρ is the agent's, entropy_scale and λ are options; the continues are what imagine() says",
    given="ρ=0 (option rho: 0.9), entropy_scale 0, λ=0.5; then 0.3, 0.7 and 0.95, without a "
    "continue predictor and in a space of continuous actions; N=2, L=3",
)
def losses_with_other_options(code):
    for rho, scale, lambda_, discrete in ((0.0, 0.0, 0.5, True), (0.3, 0.7, 0.95, False)):
        options = dict(entropy_scale=scale, lambda_=lambda_, use_continue=discrete)
        agent = agent_of(code, discrete=discrete, actions=3, **options)
        if not discrete:  # its policy has to have log-probabilities that the slow loops know
            buttons = agent_of(code, discrete=True, actions=3)
            agent.actor = agent.modules["actor"] = buttons.actor
        agent.rho = rho
        data = dream_of(agent, 2)
        (losses, metrics), want = losses_of(agent, data), expected(agent, data)
        yield f"mean return, ρ={rho:g}", metrics["return"], mean(want["returns"])
        yield f"policy loss, ρ={rho:g}", losses["policy"], want["policy"]
        yield f"value loss, ρ={rho:g}", losses["value"], want["value"]


@check(
    "2.21",
    "the discount is in the continues and enters once; a start at a true end counts alone",
    given="one dream, L=2, rewards 1, values 5, continues 0.7; γ=0.9 and λ=1: return 0 is "
    "1 + 0.7 + 0.49 · 5; then the first of the continues is 0, and it is 1",
)
def discount_enters_once(code):
    agent = agent_of(code, discrete=True, actions=3, imagination_horizon=2, lambda_=1.0)
    for first, returns in ((0.7, [4.15, 4.5]), (0.0, [1.0, 4.5])):
        data = dream_of(agent, 1, attached=False)
        data["rewards"].fill_(1.0)
        data["values"].fill_(5.0)
        data["continues"].fill_(0.7)
        data["continues"][:, 0] = first
        (losses, metrics), want = losses_of(agent, data), expected(agent, data)
        yield f"mean return where c₀ = {first:g}", metrics["return"], sum(returns) / 2
        yield f"policy loss where c₀ = {first:g}", losses["policy"], want["policy"]
        yield f"value loss where c₀ = {first:g}", losses["value"], want["value"]


@check(
    "2.21",
    "the policy learns from log-probability, advantage and entropy, and the critic from its error",
    given="N=2, L=3, ρ=0.3; slopes along the last biases; expected: finite differences, returns, "
    "values and weights fixed where they have to be",
)
def gradients_of_policy_and_critic(code):
    agent = agent_of(code, discrete=True, actions=3)
    agent.rho = 0.3
    data = dream_of(agent, 2)
    losses, _ = losses_of(agent, data)
    for part, module, loss in (("actor", agent.actor, "policy"), ("critic", agent.critic, "value")):
        p = numbers_of(agent, f"{part}.mlp.")

        def moved(bias, part=part, p=p, loss=loss):
            return expected(agent, data, **{part: p | {"output.bias": bias}})[loss]

        [slope] = gradients(losses[loss], module.mlp.output.bias)
        yield f"slopes along the {part}'s bias", slope, oracle.slopes(moved, p["output.bias"])


@check(
    "2.21",
    "through returns the policy loss reaches rewards, values and continues, the value loss nothing",
    given="N=2, L=3, ρ=0.3, then 1; expected: finite differences, weights and advantage fixed",
)
def gradients_through_the_dream(code):
    for rho in (0.3, 1.0):
        agent = agent_of(code, discrete=True, actions=3)
        agent.rho = rho
        data = dream_of(agent, 2)
        losses, _ = losses_of(agent, data)
        want = expected(agent, data)
        continues = data["continues"].tolist()
        weights = [[1.0, *oracle.running_products(row[:-1])] for row in continues]
        fixed = {
            "weights": weights,
            "targets": want["returns"],
            "baseline": data["values"].tolist(),
        }
        for name in ("rewards", "continues", "values"):
            x = data[name]

            def moved(numbers, name=name, x=x, agent=agent, data=data, fixed=fixed):
                rows = torch.tensor(numbers, dtype=F64).view_as(x).tolist()
                return expected(agent, data, **fixed | {name: rows})["policy"]

            [found] = gradients(losses["policy"], x)
            slopes = oracle.slopes(moved, x.flatten().tolist())
            yield f"policy loss to {name}, ρ={rho:g}", found.flatten(), slopes
            [found] = gradients(losses["value"], x)
            yield f"value loss to {name}, ρ={rho:g}", found.abs().max(), 0.0
        for name in PARTS:
            [found] = gradients(losses[name], data["feature"])
            yield f"{name} loss to the features, ρ={rho:g}", found.abs().max(), 0.0
        parts = {"actor": agent.actor, "critic": agent.critic}
        for name, own in zip(PARTS, parts, strict=True):
            reached = [
                part
                for part, module in parts.items()
                if any(bool(g.any()) for g in gradients(losses[name], *module.parameters()))
            ]
            yield f"who learns from the {name} loss, ρ={rho:g}", reached, [own]


@check(
    "2.21",
    "actions in [-1, 1] learn by dynamics backpropagation; all in the type of the dream",
    given="two actions, ρ=0, no entropy; N=2, L=3, float32",
)
def losses_with_continuous_actions(code):
    agent = agent_of(code, entropy_scale=0.0)
    data = dream_of(agent, 2, torch.float32)
    doubled = {name: x.double() for name, x in data.items()}
    doubled["action"] = torch.eye(2, dtype=F64)[torch.zeros(2, 4, dtype=torch.long)]  # ρ=0: unseen
    want = expected(agent, doubled, actor=None)
    agent.modules.float()
    losses, metrics = losses_of(agent, data | {"action": data["action"].detach() * 0.5})
    yield "mean return", metrics["return"], mean(want["returns"]), 1e-4
    for name in PARTS:
        yield f"{name} loss", losses[name], want[name], 1e-4
        yield f"dtype of the {name} loss", str(losses[name].dtype), "torch.float32"


# --- 2.22 DreamerV2.update ------------------------------------------------------------------------

RATES = {"model": 1.0, "actor": 0.5, "critic": 0.25}
DECAY = 0.1


def plain_agent(code, clip=100.0, decay=DECAY):
    """An agent with plain gradient descent in the place of Adam, so that a step can be read off."""
    agent = agent_of(code, clip=clip, weight_decay=decay)
    agent.optimizers = {
        name: torch.optim.SGD(agent.modules[name].parameters(), rate)
        for name, rate in RATES.items()
    }
    return agent


def parameters_of(agent, name: str) -> list:
    return list(agent.modules[name].parameters())


def slope_of(number: int) -> float:
    """The slope of a part's n-th tensor: 0.01, 0.02, …"""
    return 0.01 * (number + 1)


def weighted_sum(agent, name: str, factor=1.0):
    """A loss whose gradient is factor × 0.01 for a part's first tensor, 0.02 for the second, …"""
    parameters = enumerate(parameters_of(agent, name))
    return factor * sum((p * slope_of(i)).sum() for i, p in parameters)


def norm_of(agent, name: str, factor=1.0) -> float:
    sizes = [p.numel() for p in parameters_of(agent, name)]
    return factor * math.sqrt(sum(n * slope_of(i) ** 2 for i, n in enumerate(sizes)))


def firsts(agent, name: str) -> list[float]:
    """The first entry of every tensor of a part."""
    return [float(p.flatten()[0]) for p in parameters_of(agent, name)]


def untouched(agent, name: str, before: list) -> bool:
    return all(torch.equal(a, b) for a, b in zip(before, parameters_of(agent, name), strict=True))


def copies(agent, name: str) -> list:
    return [p.detach().clone() for p in parameters_of(agent, name)]


@check(
    "2.22",
    "an update moves a part against its gradient, with its own optimiser",
    given="plain gradient descent, rate 1 (model), 0.5 (actor), 0.25 (critic); slopes 0.01, 0.02 … "
    "and no decay",
)
def one_step(code):
    agent = plain_agent(code, decay=0.0)
    for name in ("critic", "actor", "model"):
        before = firsts(agent, name)
        agent.update(name, weighted_sum(agent, name))
        want = [b - RATES[name] * slope_of(i) for i, b in enumerate(before)]
        yield f"the {name}'s tensors", firsts(agent, name), want


@check(
    "2.22",
    "before the step every parameter shrinks by the share weight_decay, biases too",
    given="p becomes 0.9 p - rate · slope: weight_decay 0.1, rates 0.25 and 1, slopes 0.01, 0.02 …",
)
def decay_then_step(code):
    for name in ("critic", "model"):
        agent = plain_agent(code)
        agent.updates = 4 * (name == "model")
        before = firsts(agent, name)
        agent.update(name, weighted_sum(agent, name))
        want = [0.9 * b - RATES[name] * slope_of(i) for i, b in enumerate(before)]
        yield f"the {name}'s tensors", firsts(agent, name), want
    before = [p * 0.7 for p in copies(agent, "actor")]
    agent.config.weight_decay = 0.3
    agent.update("actor", weighted_sum(agent, "actor", 0.0))
    same = [float((a - b).abs().max()) for a, b in zip(before, copies(agent, "actor"), strict=True)]
    yield "the actor less 0.7 of what it was: decay 0.3, gradient 0", same, [0.0] * len(same)


@check(
    "2.22",
    "the gradient is that at the old parameters",
    given="the loss is half the sum of squares of the critic, whose gradient is p; decay 0.1, rate "
    "0.25: p becomes 0.9 p - 0.25 p",
)
def gradient_at_the_old_parameters(code):
    agent = plain_agent(code)
    before = firsts(agent, "critic")
    agent.update("critic", sum(0.5 * p.square().sum() for p in parameters_of(agent, "critic")))
    yield "the critic's tensors", firsts(agent, "critic"), [0.65 * b for b in before]


@check(
    "2.22",
    "the gradient of all parameters together is scaled down to the norm `clip`; decay is no part "
    "of it",
    given="slopes 0.01, 0.02 … times 1,000; clip 0.5 (critic), then 3 (all three); decay 0.1",
)
def clipped_together(code):
    for name, clip in (("critic", 0.5), ("critic", 3.0), ("actor", 3.0), ("model", 3.0)):
        agent = plain_agent(code, clip)
        before, norm = firsts(agent, name), norm_of(agent, name, 1000.0)
        agent.update(name, weighted_sum(agent, name, 1000.0))
        scale = RATES[name] * clip / norm * 1000
        want = [0.9 * b - scale * slope_of(i) for i, b in enumerate(before)]
        yield f"the {name}'s tensors, clip {clip:g}", firsts(agent, name), want


@check(
    "2.22",
    "a gradient below the limit is left as it is, and a parameter without one still decays",
    given="clip 100, decay 0.1; slopes 0.005, 0.01 …; then a loss of the first tensor alone",
)
def small_and_missing_gradients(code):
    agent = plain_agent(code)
    before = firsts(agent, "critic")
    agent.update("critic", weighted_sum(agent, "critic", 0.5))
    want = [0.9 * b - 0.25 * 0.5 * slope_of(i) for i, b in enumerate(before)]
    yield "the critic's tensors", firsts(agent, "critic"), want
    agent, first = plain_agent(code), None
    first, before = parameters_of(agent, "critic")[0], firsts(agent, "critic")
    agent.update("critic", (2.0 * first).sum())
    want = [0.9 * b - 0.25 * 2.0 * (i == 0) for i, b in enumerate(before)]
    yield "after a loss of the first tensor alone", firsts(agent, "critic"), want


@check(
    "2.22",
    "gradients of the update before do not count",
    given="old gradients of 5 everywhere; two updates with slopes 0.01, 0.02 …, no decay",
)
def old_gradients_are_cleared(code):
    agent = plain_agent(code, decay=0.0)
    for p in parameters_of(agent, "critic"):
        p.grad = torch.full_like(p, 5.0)
    for number in ("first", "second"):
        before = firsts(agent, "critic")
        agent.update("critic", weighted_sum(agent, "critic"))
        want = [b - 0.25 * slope_of(i) for i, b in enumerate(before)]
        yield f"the critic's tensors after the {number} update", firsts(agent, "critic"), want


@check(
    "2.22",
    "the gradient may flow through other parts; nothing is left in them, and nothing moves them",
    given="a loss of actor and critic together; the critic is updated, clip 1, decay 0.1; the "
    "model still holds gradients of 2",
)
def other_parts_stay(code):
    agent = plain_agent(code, clip=1.0)
    for p in parameters_of(agent, "model"):
        p.grad = torch.full_like(p, 2.0)
    others = ("actor", "model", "slow_critic")
    old = {name: copies(agent, name) for name in others}
    before = firsts(agent, "critic")
    agent.update("critic", weighted_sum(agent, "critic") + weighted_sum(agent, "actor"))
    want = [0.9 * b - 0.25 * slope_of(i) for i, b in enumerate(before)]
    yield "the critic's tensors", firsts(agent, "critic"), want
    left = [float(p.grad.abs().max()) for p in parameters_of(agent, "actor") if p.grad is not None]
    yield "largest gradient left in the actor", max(left, default=0.0), 0.0
    moved = [name for name in others if not untouched(agent, name, old[name])]
    yield "other parts that moved", moved, []


@check(
    "2.22",
    "the agent's own Adam: decay is neither part of the gradient nor scaled by the learning rate",
    given="critic_lr 0.01, decay 0.1, slopes 0.02 · (n + 1); Adam's first step is lr · g / (|g| + "
    "1e-5); then a second update with slopes of half the size and the other sign",
)
def step_of_adam(code):
    agent = agent_of(code, critic_lr=0.01, weight_decay=DECAY)
    before = firsts(agent, "critic")
    agent.update("critic", weighted_sum(agent, "critic", 2.0))
    slopes = [2 * slope_of(i) for i in range(len(before))]
    want = [0.9 * b - 0.01 * g / (g + 1e-5) for b, g in zip(before, slopes, strict=True)]
    yield "the critic's tensors", firsts(agent, "critic"), want
    agent.update("critic", weighted_sum(agent, "critic", -1.0))
    for i, g in enumerate(slopes):
        mean = (0.9 * 0.1 * g - 0.1 * g / 2) / (1 - 0.9**2)
        square = (0.999 * 0.001 * g**2 + 0.001 * (g / 2) ** 2) / (1 - 0.999**2)
        want[i] = 0.9 * want[i] - 0.01 * mean / (math.sqrt(square) + 1e-5)
    yield "the critic's tensors after a second update", firsts(agent, "critic"), want
