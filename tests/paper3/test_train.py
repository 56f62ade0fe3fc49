"""Checks of DreamerV3's agent: dreams, the three losses of actor and critic, one training step.

Sources: arXiv:2301.04104v2, sections "Critic learning" and "Actor learning"; danijar/dreamerv3,
dreamerv3/agent.py, `loss`, `imag_loss`, `repl_loss`.
"""

import math

import torch

from course.checks import check
from tests import oracle
from tests.numbers import F64, gradients, irregular
from tests.paper3.agents import (
    agent_of,
    critic_terms,
    guesses,
    numbers_of,
    states,
    steered,
)


def changed(before: dict, after: dict) -> list[str]:
    """Names of the tensors that a call has changed."""
    return [name for name, x in after.items() if not torch.equal(x, before[name])]


def copies(tensors: dict) -> dict:
    return {name: x.detach().clone() for name, x in tensors.items()}


def reached(agent, loss) -> list[str]:
    """The parts of the agent that a loss has a gradient for."""
    found = []
    for name in ("world_model", "actor", "critic"):
        slopes = gradients(loss, *agent.modules[name].parameters())
        found += [name] if any(bool(x.any()) for x in slopes) else []
    return found


# --- 3.30 Agent.imagine ---------------------------------------------------------------------------

NAMES = ("feature", "policy", "actions", "rewards", "continues")
SIZES = "H=4, S=2, K=3, A=2"


def dreamed(agent, h, z) -> dict:
    """What `imagine` has to return for a policy without noise, by slow loops."""
    c, actor = agent.config, agent.actor
    weight, bias = list(zip(*actor.weight.tolist(), strict=True)), actor.bias.tolist()
    rssm = numbers_of(agent, "world_model.rssm.")
    continues = numbers_of(agent, "world_model.continues.")
    found = {name: [] for name in NAMES}

    def policy(feature):
        return [math.tanh(x) for x in oracle.linear(feature, weight, bias)]

    def act(feature):
        return [0.5 - 1.5 * x for x in policy(feature)]

    for row_h, row_z in zip(h.tolist(), z.flatten(2).tolist(), strict=True):
        for start_h, start_z in zip(row_h, row_z, strict=True):
            dream = oracle.block_dream(start_h, start_z, act, c.imagine_length, rssm, c)
            features = [[*s["h"], *s["z"]] for s in dream]
            goes_on = [oracle.rms_dense(x, continues, c.head_layers)[0] for x in features]
            rows = (
                features, [policy(x) for x in features], [s["action"] for s in dream],
                guesses(agent, "world_model.reward", features),
                [oracle.sigmoid(x) for x in goes_on],
            )  # fmt: skip
            for name, row in zip(NAMES, rows, strict=True):
                found[name].append(row)
    return found


@check(
    "3.30",
    "every state of every sequence starts a dream; all is known or predicted at all its states",
    given="a policy of tanh(feature · weight + bias) whose sample is 0.5 - 1.5 times that; B=2, "
    f"T=3, L=4, {SIZES}",
)
def dreams_with_predictions(code):
    agent = steered(agent_of(code, discrete=False))
    start = dict(zip("hz", states(agent, 2, 3), strict=True))
    before, want = copies(start), dreamed(agent, **start)
    found = agent.imagine(*start.values())
    for name, got in zip(NAMES, found, strict=True):
        yield name, got, want[name]
    yield "what was changed of the start", changed(before, start), []
    again = dict(zip(NAMES, agent.imagine(*start.values()), strict=True))
    for name in ("policy", "rewards"):
        yield f"{name} of a second call", again[name], want[name]


@check(
    "3.30",
    "the length is 1 + imagine_length, for one sequence and for one row too",
    given=f"B=1, T=2, imagine_length 1; then B=3, T=1, imagine_length 2; {SIZES}",
)
def lengths_of_dreams(code):
    for batch, steps, length in ((1, 2, 1), (3, 1, 2)):
        agent = steered(agent_of(code, discrete=False, imagine_length=length))
        start = states(agent, batch, steps)
        want = dreamed(agent, *start)
        for name, got in zip(NAMES, agent.imagine(*start), strict=True):
            yield f"{name}, imagine_length {length}", got, want[name]


@check(
    "3.30",
    "only the actor's outputs have a gradient, and only the actor gets it",
    given=f"slopes of Σ w · policy, w irregular, along the policy's weight and bias; B=2, T=2, "
    f"L=4, {SIZES}",
)
def gradient_of_the_actor_alone(code):
    agent = steered(agent_of(code, discrete=False))
    h, z = states(agent, 2, 2)
    found = dict(zip(NAMES, agent.imagine(h, z), strict=True))
    attached = [name for name, x in found.items() if x.requires_grad]
    yield "what has a gradient", attached, ["policy"]
    weights = irregular(4, 4, 2, phase=2.0)
    fixed = torch.tensor(dreamed(agent, h, z)["feature"], dtype=F64)
    parts = {"weight": agent.actor.weight, "bias": agent.actor.bias}
    loss = (found["policy"] * weights).sum()
    got = gradients(loss, *parts.values())
    want = gradients((agent.actor(fixed) * weights).sum(), *parts.values())
    for name, slope, expected in zip(parts, got, want, strict=True):
        yield f"slopes along the policy's {name}", slope, expected.tolist()
    yield "who gets a gradient", reached(agent, loss), ["actor"]
    slopes = [float(x.abs().max()) for x in gradients(loss, h, z)]
    yield "largest slope along the start's h and z", slopes, [0.0, 0.0]


@check(
    "3.30",
    "the actions returned are those that led to the next states",
    given="sample n of the policy is noise[n] higher, noise [0.3 -0.4 0.2 0.5 …]; B=1, T=2, L=4",
)
def one_sample_for_each_state(code):
    noise = (0.3, -0.4, 0.2, 0.5, 0.9, -0.7, 0.6, -0.8)
    agent = steered(agent_of(code, discrete=False), *noise)
    c, rssm = agent.config, numbers_of(agent, "world_model.rssm.")
    feature, policy, actions, *_ = agent.imagine(*states(agent, 1, 2))
    yield (
        "actions less 0.5 - 1.5 policy",
        actions - 0.5 + 1.5 * policy,
        [[[x] * 2 for x in noise[:4]]] * 2,
    )
    follows = []
    for dream, taken in zip(feature.tolist(), actions.tolist(), strict=True):
        pairs = [(x[: c.deter], x[c.deter :], a) for x, a in zip(dream, taken, strict=True)]
        steps = [oracle.block_dream_step(h, z, a, rssm, c) for h, z, a in pairs[:-1]]
        follows.append([[*h, *z] for h, z in steps])
    yield "the states after the first", feature[:, 1:], follows


@check(
    "3.30",
    "any actor: its outputs may be wider than its actions; the type is that of the start",
    given="a discrete actor of three actions, then a Normal one of two; B=2, T=2, L=4, float32",
)
def kinds_of_actors(code):
    for discrete, actions, width in ((True, 3, 3), (False, 2, 4)):
        agent = agent_of(code, discrete=discrete, actions=actions)
        agent.modules.float()
        h, z = (x.detach().float() for x in states(agent, 2, 2))
        found = dict(zip(NAMES, agent.imagine(h, z), strict=True))
        shapes = [tuple(x.shape) for x in found.values()]
        kind = "discrete" if discrete else "Normal"
        want = [(4, 4, 10), (4, 4, width), (4, 4, actions), (4, 4), (4, 4)]
        yield f"shapes, {kind} actor", shapes, want
        yield (
            f"dtypes, {kind} actor",
            sorted({str(x.dtype) for x in found.values()}),
            ["torch.float32"],
        )
        policy, taken = found["policy"].detach(), found["actions"]
        if discrete:
            yield "each action is one-hot", taken.sum(-1), [[1.0] * 4] * 4
        else:
            yield "actions less the policy's mean", taken - policy[..., :2], [[[0.0] * 2] * 4] * 4


# --- 3.31 Agent.policy_loss -----------------------------------------------------------------------


class Counted:
    """In the place of the normaliser: its scale grows with every update."""

    def __init__(self, first=2.0, more=1.5):
        self.first, self.more, self.seen = first, more, []

    def update(self, returns):
        self.seen.append(sorted(returns.detach().flatten().tolist()))

    def scale(self):
        return torch.tensor(self.first + self.more * len(self.seen), dtype=F64)


KEYS = ("policy", "actions", "returns", "values", "weight")


def spoken(agent, count: int, steps: int, attached=False) -> dict:
    """Irregular arguments of `policy_loss`."""
    shape, a = (count, steps), agent.actions
    if hasattr(agent.actor, "ratio"):
        policy = torch.log_softmax(2 * irregular(*shape, a, phase=1.0), -1)
        kinds = (torch.arange(count * steps) * 5 // 3 % a).view(shape)
        actions = torch.nn.functional.one_hot(kinds, a).double()
    else:
        std = 0.7 + 0.3 * irregular(*shape, a, phase=2.0)
        policy = torch.cat([irregular(*shape, a, phase=1.0), std], -1)
        actions = 1.5 * irregular(*shape, a, phase=3.0)
    numbers = (
        policy, actions, 3 * irregular(*shape, phase=4.0), 2 * irregular(*shape, phase=5.0),
        0.5 + 0.4 * irregular(*shape, phase=6.0),
    )  # fmt: skip
    return {k: x.detach().requires_grad_(attached) for k, x in zip(KEYS, numbers, strict=True)}


def policy_terms(agent, x: dict) -> list[dict]:
    """For each dream the numbers that `oracle.scaled_policy_loss` wants."""
    dreams = []
    for policy, actions, *rest in zip(*(x[key].tolist() for key in KEYS), strict=True):
        d = dict(zip(KEYS[2:], rest, strict=True)) | {"log_probs": [], "entropies": []}
        d["weights"] = d.pop("weight")
        for out, action in zip(policy, actions, strict=True):
            if hasattr(agent.actor, "ratio"):
                d["log_probs"].append(out[action.index(max(action))])
                d["entropies"].append(-sum(math.exp(p) * p for p in out))
            else:
                half = len(action)
                rows = list(zip(action, out[:half], out[half:], strict=True))
                d["log_probs"].append(sum(oracle.normal_log_density(*row) for row in rows))
                one = 0.5 * math.log(2 * math.pi * math.e)
                d["entropies"].append(sum(math.log(std) + one for *_, std in rows))
        dreams.append(d)
    return dreams


@check(
    "3.31",
    "the advantage alone is divided by the scale S of the returns",
    given="two states of a fair coin, returns [5 2], values [1 4], weights [1 0.5], S=4, "
    "entropy_scale 0.2: advantages [1 -0.5], loss 0.225 ln 2",
)
def two_states_by_hand(code):
    agent = agent_of(code)
    agent.normalizer = Counted(4.0, 0.0)
    policy, actions = torch.full((1, 2, 2), -math.log(2)), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    numbers = [torch.tensor([x]) for x in ([5.0, 2.0], [1.0, 4.0], [1.0, 0.5])]
    loss, metrics = agent.policy_loss(policy, actions, *numbers)
    yield "mean size of the advantages", metrics["advantage_size"], 0.75
    yield "loss", loss, 0.225 * math.log(2)
    yield "entropy", metrics["entropy"], math.log(2)


@check(
    "3.31",
    "the normaliser takes in all returns once, and before its scale is asked for",
    given="a normaliser whose S is 2 + 1.5 for each update; N=3, L=4, three discrete actions",
)
def updated_once_and_first(code):
    agent = agent_of(code, actions=3)
    agent.normalizer = counted = Counted()
    x = spoken(agent, 3, 4)
    before, dreams = copies(x), policy_terms(agent, x)
    loss, metrics = agent.policy_loss(**x)
    yield (
        "what the normaliser was updated with",
        counted.seen,
        [sorted(x["returns"].flatten().tolist())],
    )
    yield "its scale afterwards", metrics["return_scale"], 3.5
    sizes = [
        abs(r - v) / 3.5 for d in dreams for r, v in zip(d["returns"], d["values"], strict=True)
    ]
    yield "mean size of the advantages", metrics["advantage_size"], sum(sizes) / len(sizes)
    yield "loss", loss, oracle.scaled_policy_loss(dreams, 0.0, 3.5, 0.2)
    yield "what was changed by the call", changed(before, x), []


@check(
    "3.31",
    "the agent's own normaliser: slow averages of the percentiles, and a scale of at least 1",
    given="averages [-0.5 3.2], then [0 0], where S is 1; N=3, L=4, two real actions, "
    "entropy_scale 0.2, then 0.7",
)
def with_the_normalizer(code):
    for low, high, scale in ((-0.5, 3.2, 0.2), (0.0, 0.0, 0.7)):
        agent = agent_of(code, discrete=False, entropy_scale=scale)
        agent.normalizer.low.fill_(low)
        agent.normalizer.high.fill_(high)
        x = spoken(agent, 3, 4)
        returns = x["returns"].flatten().tolist()
        low = 0.99 * low + 0.01 * oracle.percentile(returns, 0.05)
        high = 0.99 * high + 0.01 * oracle.percentile(returns, 0.95)
        loss, metrics = agent.policy_loss(**x)
        averages = [agent.normalizer.low, agent.normalizer.high]
        yield f"the averages, entropy_scale {scale}", [float(a) for a in averages], [low, high]
        want = oracle.scaled_policy_loss(policy_terms(agent, x), low, high, scale)
        yield f"loss, entropy_scale {scale}", loss, want
        yield f"the metric of the loss, entropy_scale {scale}", metrics["loss/policy"], want


@check(
    "3.31",
    "the actor learns by the score of its action and by its entropy, and through nothing else",
    given="S=4; N=2, L=3, three discrete actions; the slope of log p is -w (advantage · action - "
    "entropy_scale · p (1 + log p)) / 6",
)
def gradient_of_the_policy_loss(code):
    agent = agent_of(code, actions=3)
    agent.normalizer = Counted(4.0, 0.0)
    x = spoken(agent, 2, 3, attached=True)
    before = copies(x)
    loss, metrics = agent.policy_loss(**x)
    slopes = dict(zip(KEYS, gradients(loss, *x.values()), strict=True))
    rows = []
    for d, policy, actions in zip(
        policy_terms(agent, before),
        before["policy"].tolist(),
        before["actions"].tolist(),
        strict=True,
    ):
        rows.append([])
        for i, (out, action) in enumerate(zip(policy, actions, strict=True)):
            advantage = (d["returns"][i] - d["values"][i]) / 4
            pushes = [
                advantage * a - 0.2 * math.exp(p) * (1 + p)
                for p, a in zip(out, action, strict=True)
            ]
            rows[-1].append([-d["weights"][i] * x / 6 for x in pushes])
    yield "slopes of the policy", slopes.pop("policy"), rows
    others = [name for name, slope in slopes.items() if bool(slope.any())]
    yield "what else has a gradient", others, []


# --- 3.32 Agent.replay_value_loss -----------------------------------------------------------------


def rows_of(batch: int, steps: int, last=(), terminal=()) -> dict:
    """Rewards, and flags at these (sequence, row)."""
    rows = {"reward": 1.5 * irregular(batch, steps, phase=2.0)}
    for name, places in (("is_last", last), ("is_terminal", terminal)):
        rows[name] = torch.zeros(batch, steps, dtype=F64)
        for place in places:
            rows[name][place] = 1.0
    return rows


def replay_terms(agent, state, rows: dict, bootstrap):
    """The loss, row by row; attached to `state` and to the critic's parameters."""
    c, terms = agent.config, []
    discount = 1 - 1 / c.discount_horizon
    slow = guesses(agent, "slow_critic", state.tolist())
    for b, features in enumerate(state):
        reward, terminal, last = (rows[k][b].tolist() for k in ("reward", "is_terminal", "is_last"))
        continues = [discount * (1 - x) for x in terminal]
        targets = oracle.lambda_returns(reward, bootstrap[b].tolist(), continues, last, c.lambda_)
        for t, target in enumerate(targets):
            loss = critic_terms(agent, features[t], target, slow[b][t])
            terms.append((1 - last[t]) * loss)
    return sum(terms) / len(terms)


def replayed(agent, batch: int, steps: int):
    """States and bootstraps, both with a gradient."""
    size = agent.critic.mlp[0].in_features
    state = irregular(batch, steps, size, phase=1.0).requires_grad_()
    return state, (2 * irregular(batch, steps, phase=3.0)).requires_grad_()


# Sequence 0 is cut at row 2 by a time limit, sequence 1 ends with a death at row 1.
ENDS = dict(last=[(0, 2), (1, 1), (2, 4)], terminal=[(1, 1)])
CUTS = "a time limit at row 2, a death at row 1, a time limit at the last row"


@check(
    "3.32",
    "each row but the last is judged by its λ-return, bootstrapped from dreams",
    given="B=2, T=4, γ=0.8, λ=0.8, no ends; then B=1, T=2, γ=0.5, λ=0.3",
)
def returns_of_rows(code):
    for batch, steps, horizon, lambda_ in ((2, 4, 5, 0.8), (1, 2, 2, 0.3)):
        agent = agent_of(code, discount_horizon=horizon, lambda_=lambda_)
        state, bootstrap = replayed(agent, batch, steps)
        rows = rows_of(batch, steps)
        loss = agent.replay_value_loss(state, rows, bootstrap)
        yield f"loss, T={steps}", loss, replay_terms(agent, state, rows, bootstrap).item()
    yield "shape of the loss", tuple(loss.shape), ()


@check(
    "3.32",
    "a death ends the return, a time limit does not; the last row of an episode weighs nothing",
    given=f"B=3, T=5, γ=0.8, λ=0.8; {CUTS}",
)
def deaths_and_time_limits(code):
    agent = agent_of(code)
    state, bootstrap = replayed(agent, 3, 5)
    rows = rows_of(3, 5, **ENDS)
    given = rows | {"state": state, "bootstrap": bootstrap}
    before = copies(given)
    for flags in ((), ("is_last",), ("is_last", "is_terminal")):
        marked = rows_of(3, 5) | {name: rows[name] for name in flags}
        loss = agent.replay_value_loss(state, marked, bootstrap)
        want = replay_terms(agent, state, marked, bootstrap).item()
        yield f"loss, marked: {' and '.join(flags) or 'nothing'}", loss, want
    again = agent.replay_value_loss(state, rows, bootstrap)
    yield "loss of a second call", again, want
    yield "what was changed by the calls", changed(before, given), []


@check(
    "3.32",
    "the loss trains the critic and the state it judges: no other loss of values does",
    given=f"B=3, T=5, γ=0.8, λ=0.8; {CUTS}; targets and the slow critic's values fixed",
)
def gradient_into_the_state(code):
    agent = agent_of(code)
    state, bootstrap = replayed(agent, 3, 5)
    rows = rows_of(3, 5, **ENDS)
    loss = agent.replay_value_loss(state, rows, bootstrap)
    want = replay_terms(agent, state, rows, bootstrap)
    parameters = dict(agent.critic.named_parameters())
    inputs = {"state": state} | {f"the critic's {name}": p for name, p in parameters.items()}
    got, expected = (gradients(x, *inputs.values()) for x in (loss, want))
    for name, slope, right in zip(inputs, got, expected, strict=True):
        yield f"slopes along {name}", slope, right.tolist()
    yield "largest slope along the bootstraps", gradients(loss, bootstrap)[0].abs().max(), 0.0
    yield "who gets a gradient", reached(agent, loss), ["critic"]


@check(
    "3.32",
    "the critic stays near its slow copy too: at the same states, by the copy's prediction",
    given="B=2, T=3; the slow critic's output biases grow by 0.5, 1, 1.5 …: the loss has to follow",
)
def near_the_slow_critic(code):
    agent = agent_of(code)
    state, bootstrap = replayed(agent, 2, 3)
    rows = rows_of(2, 3, last=[(1, 2)])
    for name in ("before", "after"):
        loss = agent.replay_value_loss(state, rows, bootstrap)
        yield f"loss {name}", loss, replay_terms(agent, state, rows, bootstrap).item()
        with torch.no_grad():
            agent.slow_critic.mlp[-1].bias += torch.arange(1, 8) / 2


# --- 3.33 Agent.behavior_loss ---------------------------------------------------------------------

DREAM = ("feature", "policy", "actions", "rewards", "continues")


def stubbed(agent, count: int) -> tuple[dict, dict]:
    """(a dream of irregular numbers, what the agent hands to its other methods from now on).

    `imagine` gives the dream; `policy_loss` is Σ 0.1 policy, `replay_value_loss` Σ 0.3 state.
    """
    steps, size = agent.config.imagine_length + 1, agent.critic.mlp[0].in_features
    shape, a = (count, steps), agent.actions
    numbers = (
        irregular(*shape, size, phase=1.0), irregular(*shape, a, phase=2.0).requires_grad_(),
        irregular(*shape, a, phase=3.0), 1.5 * irregular(*shape, phase=4.0),
        0.6 + 0.3 * irregular(*shape, phase=5.0),
    )  # fmt: skip
    data, seen = dict(zip(DREAM, numbers, strict=True)), {}

    def imagine(h, z):
        seen["start"] = {"h": h, "z": z}
        return tuple(data.values())

    def policy_loss(policy, actions, returns, values, weight):
        seen["policy_loss"] = dict(
            zip(KEYS, (policy, actions, returns, values, weight), strict=True)
        )
        return 0.1 * policy.sum(), {"of the stub": 7.0}

    def replay_value_loss(state, rows, bootstrap):
        seen["replay"] = {"state": state, "bootstrap": bootstrap, **rows}
        return 0.3 * state.sum()

    agent.imagine, agent.policy_loss = imagine, policy_loss
    agent.replay_value_loss = replay_value_loss
    return data, seen


def judged(agent, data: dict) -> dict:
    """Returns, values and weights of all states of the dreams but the last; the critic's loss."""
    c, found, terms = agent.config, {"returns": [], "values": [], "weight": []}, []
    values, slow = (
        guesses(agent, name, data["feature"].tolist()) for name in ("critic", "slow_critic")
    )
    for n, features in enumerate(data["feature"]):
        rewards, continues = data["rewards"][n].tolist(), data["continues"][n].tolist()
        never = [0.0] * len(rewards)
        returns = oracle.lambda_returns(rewards, values[n], continues, never, c.lambda_)
        weights = oracle.running_products(continues)[:-1]
        for i, weight in enumerate(weights):
            terms.append(weight * critic_terms(agent, features[i], returns[i], slow[n][i]))
        for name, row in zip(found, (returns, values[n][:-1], weights), strict=True):
            found[name].append(row)
    return found | {"loss": sum(terms) / len(terms)}


def prepared(batch: int, steps: int) -> dict:
    """Rows as `prepare` gives them, with more of them than the dreams start from."""
    rows = rows_of(batch, steps, [(0, 1), (batch - 1, steps - 1)], [(batch - 1, steps - 1)])
    return rows | {"action": irregular(batch, steps, 2), "is_first": torch.zeros(batch, steps)}


@check(
    "3.33",
    "returns start from the critic's own values; what belongs to the last state is left out",
    given="imagine() gives irregular numbers; B=3, T=2, L=4, λ=0.8; what policy_loss() is asked",
)
def what_the_actor_is_judged_by(code):
    agent = agent_of(code)
    agent.normalizer.high.fill_(40.0)
    data, seen = stubbed(agent, 6)
    want = judged(agent, data)
    agent.behavior_loss(prepared(3, 2), *states(agent, 3, 2))
    for name in ("returns", "values", "weight"):
        yield name, seen["policy_loss"][name], want[name]
    for name in ("policy", "actions"):
        yield name, seen["policy_loss"][name], data[name][:, :-1].tolist()


@check(
    "3.33",
    "the critic learns the returns themselves, and its slow copy's values, with the same weights",
    given="B=3, T=2, L=4, λ=0.8; then L=2, λ=0.5; the policy's loss is Σ 0.1 policy",
)
def loss_of_the_critic(code):
    for length, lambda_ in ((3, 0.8), (1, 0.5)):
        agent = agent_of(code, imagine_length=length, lambda_=lambda_)
        agent.normalizer.high.fill_(40.0)
        data, _ = stubbed(agent, 6)
        before, want = copies(data), judged(agent, data)
        loss, _, metrics = agent.behavior_loss(prepared(3, 2), *states(agent, 3, 2))
        policy = 0.1 * data["policy"][:, :-1].sum().item()
        yield f"value loss, λ={lambda_}", metrics["loss/value"], want["loss"].item()
        yield f"loss on dreams, λ={lambda_}", loss, policy + want["loss"].item()
        returns = [x for row in want["returns"] for x in row]
        yield f"mean return, λ={lambda_}", metrics["return"], sum(returns) / len(returns)
        yield f"what was changed of the dream, λ={lambda_}", changed(before, data), []
    yield "the metric that policy_loss returned", metrics["of the stub"], 7.0


@check(
    "3.33",
    "the loss on dreams trains the critic by its error, and the policy through its own loss",
    given="B=2, T=2, L=4; targets, slow values and weights fixed; the policy's is Σ 0.1 policy",
)
def gradients_on_dreams(code):
    agent = agent_of(code)
    data, _ = stubbed(agent, 4)
    loss, _, _ = agent.behavior_loss(prepared(2, 2), *states(agent, 2, 2))
    want = judged(agent, data)["loss"]
    parameters = dict(agent.critic.named_parameters())
    got, right = (gradients(x, *parameters.values()) for x in (loss, want))
    for name, slope, expected in zip(parameters, got, right, strict=True):
        yield f"slopes along the critic's {name}", slope, expected.tolist()
    of_policy = torch.full_like(data["policy"], 0.1)
    of_policy[:, -1] = 0.0
    yield "slopes along the policy", gradients(loss, data["policy"])[0], of_policy.tolist()
    yield "who gets a gradient", reached(agent, loss), ["critic"]


@check(
    "3.33",
    "the replay loss judges the rows that dreams start from; each is worth its dream's return",
    given="B=3, T=4, imagine_last 2, then 0 (all rows); what replay_value_loss() is asked",
)
def what_replayed_rows_are_worth(code):
    for last, count in ((2, 2), (0, 4)):
        agent = agent_of(code, imagine_last=last)
        data, seen = stubbed(agent, 3 * count)
        h, z = states(agent, 3, 4)
        batch = prepared(3, 4)
        given = batch | {"h": h, "z": z}
        before, tensors = copies(given), dict(batch)
        _, loss, metrics = agent.behavior_loss(batch, h, z)
        for name, x in (("h", h), ("z", z)):
            yield (
                f"{name} of the starts, imagine_last {last}",
                seen["start"][name],
                x[:, -count:].tolist(),
            )
        for name in ("reward", "is_terminal", "is_last"):
            rows = batch[name][:, -count:].tolist()
            yield f"{name}, imagine_last {last}", seen["replay"][name], rows
        first = iter(row[0] for row in judged(agent, data)["returns"])
        worth = [[next(first) for _ in range(count)] for _ in range(3)]
        yield f"bootstrap, imagine_last {last}", seen["replay"]["bootstrap"], worth
        state = torch.cat([h, z.flatten(2)], -1)[:, -count:]
        yield f"state, imagine_last {last}", seen["replay"]["state"], state.tolist()
        yield f"replay loss, imagine_last {last}", loss, 0.3 * state.sum().item()
        yield (
            f"its metric, imagine_last {last}",
            metrics["loss/replay_value"],
            0.3 * state.sum().item(),
        )
        yield f"what was changed by the call, imagine_last {last}", changed(before, given), []
        others = [name for name, x in tensors.items() if batch.get(name) is not x]
        yield f"names of the batch that mean another tensor now, imagine_last {last}", others, []


@check(
    "3.33",
    "only the replay loss reaches the world model: through its states, h and z",
    given="the agent's own methods; B=2, T=3, L=4, imagine_last 2",
)
def who_learns_from_what(code):
    for discrete in (True, False):
        agent = agent_of(code, discrete=discrete, imagine_last=2)
        h, z = states(agent, 2, 3)
        dream_loss, replay_loss, _ = agent.behavior_loss(prepared(2, 3), h, z)
        kind = "discrete" if discrete else "real"
        yield (
            f"who learns from dreams, {kind} actions",
            reached(agent, dream_loss),
            ["actor", "critic"],
        )
        yield f"who learns from rows, {kind} actions", reached(agent, replay_loss), ["critic"]
        slopes = [float(x.abs().max()) for x in gradients(dream_loss, h, z)]
        yield f"largest slopes of the loss on dreams along h, z, {kind} actions", slopes, [0.0, 0.0]
        rows = [x.abs().amax(tuple(range(2, x.ndim))) > 0 for x in gradients(replay_loss, h, z)]
        for name, row in zip("hz", rows, strict=True):
            seen = f"where the replay loss reaches {name}, {kind} actions"
            # Row 1 of sequence 0 is an episode's last one, and row 2 of all has no next one.
            yield seen, row, [[False, False, False], [False, True, False]]


# --- 3.34 Agent.train_step ------------------------------------------------------------------------


def replay(agent, batch=2, steps=3) -> dict:
    """A batch as the replay gives it: arrays, flags as booleans, z as class numbers."""
    c, flags = agent.config, torch.zeros(batch, steps, dtype=torch.bool)
    kinds = (torch.arange(batch * steps) * 5 // 3 % agent.actions).view(batch, steps)
    tensors = {
        "position": irregular(batch, steps, 3, phase=1.0, dtype=torch.float32),
        "action": torch.nn.functional.one_hot(kinds, agent.actions).float(),
        "reward": irregular(batch, steps, phase=2.0, dtype=torch.float32),
        "is_first": flags, "is_terminal": flags.clone(), "is_last": flags.clone(),
        "h": irregular(batch, c.deter, phase=3.0).half(),
        "z": (torch.arange(batch * c.stoch).view(batch, c.stoch) % c.classes).to(torch.uint8),
    }  # fmt: skip
    tensors["is_first"] = flags.clone()
    tensors["is_first"][0, 1] = tensors["is_last"][0, 0] = True
    return {name: x.numpy() for name, x in tensors.items()}


def stepped(agent, fast: float = 3.0) -> dict:
    """What `train_step` asks of the agent's other methods, from now on; `update` moves the critic.

    The three losses are Σ of three numbers' squares: 2² = 4 for the world, 3² for dreams, 5² for
    the replay.
    """
    numbers = {"world": 2.0, "dream": 3.0, "replay": 5.0}
    leaves = {k: torch.tensor(x, dtype=F64, requires_grad=True) for k, x in numbers.items()}
    seen = {"leaves": leaves, "updates": [], "slow": []}
    h, z = states(agent, 2, 3)
    seen["h"], seen["z"] = h * 1.0, z * 1.0  # attached, as the world model's are

    def loss(batch):
        seen["calls"] = seen.get("calls", 0) + 1
        seen["batch"] = batch
        return leaves["world"] ** 2, (seen["h"], seen["z"]), {"loss/reward": 0.5, "kl": 1.5}

    def behavior_loss(batch, h, z):
        seen["behavior"] = {"batch": batch, "h": h, "z": z}
        return leaves["dream"] ** 2, leaves["replay"] ** 2, {"loss/policy": 2.5, "return": 3.5}

    def update(loss):
        slopes = [float(x) for x in gradients(loss, *leaves.values())]
        seen["updates"].append({"loss": loss.item(), "slopes": slopes})
        seen["slow"].append(numbers_of(agent, "slow_critic."))
        with torch.no_grad():
            for p in agent.critic.parameters():
                p.add_(fast)

    agent.world_model.loss, agent.behavior_loss, agent.update = loss, behavior_loss, update
    return seen


@check(
    "3.34",
    "one update, of one sum: the world model's loss, that on dreams, a share of the replay loss",
    given="losses x² of x = 2 (world), 3 (dreams), 5 (replay); scale_replay_value 0.3, then 0.7",
)
def one_sum(code):
    for scale in (0.3, 0.7):
        agent = agent_of(code, scale_replay_value=scale)
        seen = stepped(agent)
        agent.train_step(replay(agent))
        losses = [x["loss"] for x in seen["updates"]]
        yield f"losses of the updates, scale {scale}", losses, [4 + 9 + 25 * scale]
        slopes = [x["slopes"] for x in seen["updates"]]
        yield f"slopes along 2, 3 and 5, scale {scale}", slopes, [[4.0, 6.0, 10 * scale]]


@check(
    "3.34",
    "world model and behaviour get the same prepared batch, and behaviour the attached states",
    given="B=2, T=3; numpy arrays, flags as booleans, z as class numbers [[0 1] [2 0]]",
)
def who_gets_what(code):
    agent = agent_of(code)
    seen, batch = stepped(agent), replay(agent)
    before, arrays = {name: x.copy() for name, x in batch.items()}, dict(batch)
    agent.train_step(batch)
    yield "how often the world model's loss was asked for", seen["calls"], 1
    rows = [("world model", seen["batch"]), ("behaviour", seen["behavior"]["batch"])]
    for name, got in rows:
        yield f"is_first of the {name}", got["is_first"].float(), [[0.0, 1.0, 0.0], [0.0] * 3]
        yield f"dtype of its is_first, {name}", str(got["is_first"].dtype), "torch.float32"
        yield f"reward of the {name}", got["reward"], before["reward"].tolist()
    latent = [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]
    for name, got in rows:
        yield f"z before the batch, as the {name} gets it", got["z"], latent
    for name in "hz":
        x = seen["behavior"][name]
        yield f"{name} that behaviour gets", x, seen[name].tolist()
        yield f"whether it has a gradient, {name}", x.requires_grad, True
    moved = [name for name, x in arrays.items() if (x != before[name]).any()]
    yield "arrays of the replay that were changed", moved, []
    others = [name for name, x in arrays.items() if batch.get(name) is not x]
    yield "names under which the caller's batch now has another array", others, []


@check(
    "3.34",
    "after the update, and once, the slow critic goes its share of the way to the new critic",
    given="an update that adds 3 to the critic's parameters; slow_rate 0.1, then 0.5; two steps",
)
def slow_critic_follows(code):
    for rate in (0.1, 0.5):
        agent = agent_of(code, slow_rate=rate)
        seen = stepped(agent)
        fast, slow = (
            numbers_of(agent, f"{name}.mlp.")["2.bias"] for name in ("critic", "slow_critic")
        )
        for number in (1, 2):
            agent.train_step(replay(agent))
            yield f"slow bias in update {number}, rate {rate}", seen["slow"][-1]["mlp.2.bias"], slow
            fast = [x + 3 for x in fast]
            slow = [(1 - rate) * s + rate * f for s, f in zip(slow, fast, strict=True)]
            found = numbers_of(agent, "slow_critic.mlp.")["2.bias"]
            yield f"slow bias after step {number}, rate {rate}", found, slow
        yield f"fast bias, rate {rate}", numbers_of(agent, "critic.mlp.")["2.bias"], fast


@check(
    "3.34",
    "it returns the metrics of both, and the new states as the replay keeps them",
    given="metrics of the world model and of behaviour, two each; states h, z of the world model",
)
def what_comes_back(code):
    agent = agent_of(code)
    seen = stepped(agent)
    metrics, latents = agent.train_step(replay(agent))
    want = {"loss/reward": 0.5, "kl": 1.5, "loss/policy": 2.5, "return": 3.5}
    yield "metrics", {name: float(x) for name, x in metrics.items()}, want
    yield "latents", sorted(latents), ["h", "z"]
    yield "h", latents["h"], seen["h"].half().tolist()
    best = [[[row.index(max(row)) for row in s] for s in t] for t in seen["z"].tolist()]
    yield "z as class numbers", latents["z"], best
    yield "dtypes", [str(latents[name].dtype) for name in "hz"], ["torch.float16", "torch.uint8"]
    yield "whether a latent has a gradient", latents["h"].requires_grad, False


@check(
    "3.34",
    "one step of the whole agent changes every part of it, by one step of the optimiser",
    given="the agent's own methods, no warm-up, float32; B=2, T=3",
)
def a_real_step(code):
    agent = agent_of(code)
    agent.modules.float()
    before = {name: copies(m.state_dict()) for name, m in agent.modules.items()}
    steps, step = [], agent.optimizer.step
    agent.optimizer.step = lambda: steps.append(1) or step()
    metrics, latents = agent.train_step(replay(agent))
    moved = [name for name, m in agent.modules.items() if changed(before[name], m.state_dict())]
    yield "parts that moved", moved, ["world_model", "actor", "critic", "slow_critic", "normalizer"]
    yield "steps of the optimiser", len(steps), 1
    yield (
        "shapes of the latents",
        [tuple(x.shape) for x in latents.values()],
        [(2, 3, 4), (2, 3, 2)],
    )
    endless = [name for name, x in metrics.items() if not math.isfinite(float(x))]
    yield "metrics that are no number", endless, []
