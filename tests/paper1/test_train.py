"""Checks of DreamerV1's agent: acting, starts of dreams, both losses, the step, the short loop.

Sources: arXiv:1912.01603, Algorithm 1; danijar/dreamer, dreamer.py.
"""

import math
from types import SimpleNamespace

import numpy as np
import torch
from torch.utils._python_dispatch import _disable_current_modes as real_random_numbers

from course.checks import check, draws
from tests import oracle
from tests.paper1.parameters import fill

# --- builders -------------------------------------------------------------------------------------


def agent_of(code, **options):
    """A small agent for a position of three numbers and two actions, its parameters filled."""
    sizes = dict(
        rnn_hidden_dim=5, state_dim=3, hidden_dim=4, units=6, vector_layers=1, reward_layers=1,
        continue_layers=1, critic_layers=1, actor_layers=1, batch_size=2, batch_length=4,
        imagine_length=4, use_continue=True, gamma=0.9, lambda_=0.8,
    )  # fmt: skip
    spaces = {"position": SimpleNamespace(shape=(3,))}
    config = code.train.Config(**sizes | options)
    agent = code.train.DreamerV1(spaces, SimpleNamespace(shape=(2,)), config)
    fill(agent.modules)
    return agent


def tensor(*shape, phase=0.0):
    """Numbers in [-1, 1] without a pattern, float64."""
    count = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return torch.sin(1.7 * count**1.3 + phase).view(*shape)


# --- 1.28 DreamerV1.act ---------------------------------------------------------------------------

RAW_MEAN = [0.4, -1.1]
MEAN = [5 * math.tanh(m / 5) for m in RAW_MEAN]
STD = 0.5 + 1e-4  # where the raw std is 0 and init_std 0.5


def known_policy(code, **options):
    """An agent whose policy is Normal(MEAN, STD) before the tanh, whatever it sees."""
    agent = agent_of(code, actor_init_std=0.5, **options)
    with torch.no_grad():
        agent.actor.mlp.output.weight.zero_()
        agent.actor.mlp.output.bias.copy_(torch.tensor([*RAW_MEAN, 0.0, 0.0]))
    return agent


def act(agent, count=3, explore=True):
    """Actions for `count` environments."""
    obs = {"position": tensor(count, 3).float().numpy(), "is_first": np.ones(count, bool)}
    return agent.act(obs, agent.initial_state(count), explore)[0]


@check(
    "1.28",
    "at evaluation the action is the policy's mode, before and after the first update",
    given="policy mean [0.399 -1.083] before the tanh, random numbers 0.75 (normal), 0.2 (uniform)",
)
def evaluation(code):
    agent = known_policy(code)
    with draws(normal=0.75, uniform=0.2):
        yield (
            "first action before any update",
            act(agent, explore=False)[0],
            [math.tanh(m) for m in MEAN],
        )
        agent.updates = 7
        actions = act(agent, explore=False)
    yield "last action after 7 updates", actions[2], [math.tanh(m) for m in MEAN]
    yield "shape for three environments", tuple(actions.shape), (3, 2)
    yield "dtype", str(actions.dtype), "torch.float32"


@check(
    "1.28",
    "before the first update actions are uniform in [-1, 1]: u becomes 2 u - 1",
    given="every uniform number 0.2, then 0.95; normal ones 0.75",
)
def prefill(code):
    agent = known_policy(code)
    for uniform in (0.2, 0.95):
        with draws(normal=0.75, uniform=uniform):
            actions = act(agent)
        size = abs(2 * uniform - 1)  # 1 - 2 u is as good
        yield f"size of the first action where u = {uniform}", actions[0].abs(), [size] * 2
    yield "shape for three environments", tuple(actions.shape), (3, 2)
    yield "dtype", str(actions.dtype), "torch.float32"


@check("1.28", "every entry of a random action is drawn by itself", given="40 environments")
def prefill_draws(code):
    agent = known_policy(code)
    with real_random_numbers():
        torch.manual_seed(3)
        actions = act(agent, 40)
    yield "different numbers among 80", len(set(actions.flatten().tolist())), 80
    yield "all in [-1, 1]", bool((actions.abs() <= 1).all()), True
    yield "some above 0.5", bool((actions > 0.5).any()), True
    yield "some below -0.5", bool((actions < -0.5).any()), True


@check(
    "1.28",
    "after the first update a sample of the policy gets exploration noise of the configured scale",
    given="one update made; policy std 0.5001 before the tanh, noise 0.2, normal numbers 0.5",
)
def exploration(code):
    agent = known_policy(code, exploration_noise=0.2)
    agent.updates = 1
    for normal in (0.5, -0.25):
        with draws(normal=normal, uniform=0.2):
            actions = act(agent)
        expected = [math.tanh(m + STD * normal) + 0.2 * normal for m in MEAN]
        yield f"first action where ε = {normal}", actions[0], expected


@check(
    "1.28",
    "a noisy action stays within [-1, 1]",
    given="one update made; noise 0.9; normal numbers 1.5, then -1.5",
)
def noise_is_bounded(code):
    agent = known_policy(code, exploration_noise=0.9)
    agent.updates = 1
    for normal in (1.5, -1.5):
        with draws(normal=normal):
            yield f"largest size where ε = {normal}", float(act(agent).abs().max()), 1.0


# --- 1.29 DreamerV1.starts ------------------------------------------------------------------------


def states_of(b=2, t=3):
    """h[b, t] = 100 b + 10 t + unit, z the same plus 0.5; both attached."""
    numbers = 100.0 * torch.arange(b)[:, None, None] + 10.0 * torch.arange(t)[:, None]
    h = (numbers + torch.arange(4)).requires_grad_()
    z = (numbers + torch.arange(2) + 0.5).requires_grad_()
    return {"h": h, "z": z}


@check(
    "1.29",
    "every row of every sequence is a start, in the order of the batch",
    given="B=2, T=3; h[b, t] begins with 100 b + 10 t, z with half more; no continue predictor",
)
def every_row_is_a_start(code):
    agent = agent_of(code, use_continue=False)
    start = agent.starts(states_of(), torch.ones(2, 3))
    yield "shape of h", tuple(start["h"].shape), (1, 6, 4)
    yield "shape of z", tuple(start["z"].shape), (6, 2)
    yield "first units of h", start["h"].reshape(-1, 4)[:, 0], [0, 10, 20, 100, 110, 120]
    yield (
        "first units of z",
        start["z"].reshape(-1, 2)[:, 0],
        [0.5, 10.5, 20.5, 100.5, 110.5, 120.5],
    )
    yield "last start's h", start["h"].reshape(-1, 4)[-1], [120, 121, 122, 123]


@check("1.29", "the starts are cut off from the world model", given="attached states")
def starts_are_detached(code):
    for use_continue in (False, True):
        agent = agent_of(code, use_continue=use_continue)
        start = agent.starts(states_of(), torch.zeros(2, 3))
        name = "with" if use_continue else "without"
        yield f"h attached, {name} continue predictor", start["h"].requires_grad, False
        yield f"z attached, {name} continue predictor", start["z"].requires_grad, False


@check(
    "1.29",
    "with a continue predictor no dream starts at a terminal state",
    given="B=2, T=3, terminal rows (0, 1) and (1, 2)",
)
def no_terminal_starts(code):
    agent = agent_of(code)
    terminal = torch.zeros(2, 3)
    terminal[0, 1] = terminal[1, 2] = 1
    states = states_of()
    start = agent.starts(states, terminal)
    yield "first units of h", start["h"].reshape(-1, 4)[:, 0], [0, 20, 100, 110]
    yield "first units of z", start["z"].reshape(-1, 2)[:, 0], [0.5, 20.5, 100.5, 110.5]
    yield "shape of h", tuple(start["h"].shape), (1, 4, 4)
    yield "terminal flags after the call", terminal, [[0, 1, 0], [0, 0, 1]]
    nowhere = agent.starts(states, torch.ones(2, 3))
    yield "shape of h where all rows are terminal", tuple(nowhere["h"].shape), (1, 0, 4)


@check(
    "1.29",
    "only the last imagine_last rows of each sequence count, for states and flags alike",
    given="B=2, T=4, imagine_last 2, terminal rows (0, 0), (0, 3) and (1, 1)",
)
def last_rows_only(code):
    agent = agent_of(code, imagine_last=2)
    terminal = torch.zeros(2, 4)
    terminal[0, 0] = terminal[0, 3] = terminal[1, 1] = 1
    start = agent.starts(states_of(2, 4), terminal)
    yield "first units of h", start["h"].reshape(-1, 4)[:, 0], [20, 120, 130]
    yield "first units of z", start["z"].reshape(-1, 2)[:, 0], [20.5, 120.5, 130.5]
    one = agent_of(code, imagine_last=2, use_continue=False).starts(states_of(1, 4), terminal[:1])
    yield "without the predictor, B=1", one["h"].reshape(-1, 4)[:, 0], [20, 30]


# --- 1.30 DreamerV1.train_actor_critic ------------------------------------------------------------


def losses_of(agent, start, normal=0.5):
    """({"actor", "critic"}: the losses that the agent would step on, its metrics)."""
    losses = {}
    agent.update = lambda name, loss: losses.update({name: loss})
    with draws(normal=normal):
        metrics = agent.train_actor_critic(start)
    return losses, metrics


def dreamed(agent, start, normal=0.5) -> dict:
    """The same, by slow loops over dreams, states and units."""
    c = agent.config
    p = {name: x.tolist() for name, x in agent.modules.state_dict().items()}

    def part(prefix):
        return {name[len(prefix) :]: x for name, x in p.items() if name.startswith(prefix)}

    def policy(_, feature):
        raw = oracle.dense(feature, part("actor.mlp."), c.actor_layers)
        half = len(raw) // 2
        means = [5 * math.tanh(x / 5) for x in raw[:half]]
        shift = math.log(math.exp(c.actor_init_std) - 1)
        stds = [oracle.softplus(x + shift) + 1e-4 for x in raw[half:]]
        return [math.tanh(m + s * normal) for m, s in zip(means, stds, strict=True)]

    policy_loss = value_loss = value_slope = 0.0
    all_returns, all_weights = [], []
    count = len(start["z"]) * (c.imagine_length - 1)
    for h, z in zip(start["h"][0].tolist(), start["z"].tolist(), strict=True):
        steps = oracle.gaussian_dream(
            h, z, policy, c.imagine_length, part("model.rssm."), c.min_std, normal
        )
        features = [[*s["z"], *s["h"]] for s in steps]
        heads = {
            name: [oracle.dense(f, part(prefix), 1)[0] for f in features]
            for name, prefix in (("reward", "model.reward."), ("value", "critic.mlp."))
        }
        goes_on = [c.gamma] * len(features)
        if c.use_continue:
            logits = [oracle.dense(f, part("model.continues."), 1)[0] for f in features]
            goes_on = [oracle.sigmoid(x) for x in logits]
        returns = oracle.lambda_returns_own_reward(
            heads["reward"][:-1], heads["value"], goes_on[:-1], 1.0, c.lambda_
        )
        weights = oracle.running_products([1.0, *goes_on[:-2]])
        for r, w, v in zip(returns, weights, heads["value"], strict=False):
            policy_loss -= w * r / count
            value_loss += w * (v - r) ** 2 / 2 / count
            value_slope += w * (v - r) / count
        all_returns += returns
        all_weights += weights
    return {
        "actor": policy_loss, "critic": value_loss, "return": sum(all_returns) / count,
        "critic slope": value_slope, "returns": all_returns, "weights": all_weights,
    }  # fmt: skip


def start_of(count, agent):
    c = agent.config
    return {"h": tensor(1, count, c.rnn_hidden_dim), "z": tensor(count, c.state_dim, phase=2.0)}


@check(
    "1.30",
    "both losses are those of the states 1 ... L-1 of the dream; state L only gives the bootstrap",
    given="a small agent with a continue predictor; N=3 dreams of L=4 states, γ=0.9, λ=0.8",
)
def losses_with_continues(code):
    agent = agent_of(code)
    agent.modules.double()
    start = start_of(3, agent)
    before = start["h"].clone()
    losses, metrics = losses_of(agent, start)
    want = dreamed(agent, start)
    yield "mean return", metrics["return"], want["return"]
    yield "policy loss", losses["actor"], want["actor"]
    yield "value loss", losses["critic"], want["critic"]
    yield "start's h after the call", bool((start["h"] == before).all()), True


@check(
    "1.30",
    "without a continue predictor the continuations are γ everywhere, and γ enters once",
    given="the same, N=2, L=3, continuations 0.7 constant, λ=0.6; then L=2 and one dream",
)
def losses_with_constant_discount(code):
    for count, length in ((2, 3), (1, 2)):
        agent = agent_of(code, use_continue=False, gamma=0.7, lambda_=0.6, imagine_length=length)
        agent.modules.double()
        start = start_of(count, agent)
        losses, metrics = losses_of(agent, start, normal=-0.5)
        want = dreamed(agent, start, normal=-0.5)
        name = f"N={count}, L={length}"
        yield f"mean return, {name}", metrics["return"], want["return"]
        yield f"policy loss, {name}", losses["actor"], want["actor"]
        yield f"value loss, {name}", losses["critic"], want["critic"]


def reached(agent, loss) -> list[str]:
    """The parts in which a loss has a gradient."""
    model = agent.world_model
    parts = {
        "rssm": model.rssm, "reward": model.reward, "continue": model.continues,
        "actor": agent.actor, "critic": agent.critic,
    }  # fmt: skip
    if not loss.requires_grad:
        return []
    found = []
    for name, part in parts.items():
        parameters = list(part.parameters())
        slopes = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        if any(g is not None and g.any() for g in slopes):
            found.append(name)
    return found


def slope(loss, parameter):
    """The gradient of a loss at one parameter; zeros where there is none."""
    if not loss.requires_grad:
        return torch.zeros_like(parameter)
    [found] = torch.autograd.grad(loss, [parameter], retain_graph=True, allow_unused=True)
    return torch.zeros_like(parameter) if found is None else found


@check(
    "1.30",
    "values, rewards and continuations feel the dreamed states: the actor's slopes are complete",
    given="an actor that is the same everywhere, N=2, L=4; expected: finite differences of the "
    "returns, the weights fixed",
)
def size_of_the_actors_gradient(code):
    agent = agent_of(code, actor_init_std=0.5)
    agent.modules.double()
    output = agent.actor.mlp.output
    with torch.no_grad():
        output.weight.zero_()
    start = start_of(2, agent)
    bias = output.bias.clone()
    weights = dreamed(agent, start)["weights"]

    def policy_loss(numbers):
        with torch.no_grad():
            output.bias.copy_(torch.tensor(numbers, dtype=torch.float64))
        returns = dreamed(agent, start)["returns"]
        return -sum(w * r for w, r in zip(weights, returns, strict=True)) / len(returns)

    want = [1e3 * x for x in oracle.slopes(policy_loss, bias.tolist())]
    with torch.no_grad():
        output.bias.copy_(bias)
    losses, _ = losses_of(agent, start)
    found = 1e3 * slope(losses["actor"], output.bias)
    yield "slopes along the actor's output bias, times 1,000", found, want


@check(
    "1.30",
    "the critic's gradient stays in the critic: its targets and its features are fixed",
    given="a small agent, N=3, L=4",
)
def gradient_of_the_value_loss(code):
    agent = agent_of(code)
    agent.modules.double()
    start = start_of(3, agent)
    losses, _ = losses_of(agent, start)
    yield "parts that the value loss depends on", reached(agent, losses["critic"]), ["critic"]
    found = slope(losses["critic"], agent.critic.mlp.output.bias)
    yield "slope along the critic's output bias", found, [dreamed(agent, start)["critic slope"]]


# --- 1.31 DreamerV1.update ------------------------------------------------------------------------

RATES = {"model": 1.0, "actor": 0.5, "critic": 0.25}


def plain_agent(code, clip):
    """An agent with plain gradient descent in the place of Adam, so that a step can be read off."""
    agent = agent_of(code, clip=clip)
    agent.modules.double()
    agent.optimizers = {
        name: torch.optim.SGD(agent.modules[name].parameters(), rate)
        for name, rate in RATES.items()
    }
    return agent


def weighted_sum(module, factor=1.0):
    """A loss whose gradient is factor × 0.01 for a part's first tensor, 0.02 for the second, …"""
    parameters = list(module.parameters())
    slopes = [torch.full_like(p, 0.01 * (i + 1)) for i, p in enumerate(parameters)]
    return factor * sum((p * slope).sum() for p, slope in zip(parameters, slopes, strict=True))


def norm_of(module, factor=1.0) -> float:
    sizes = [p.numel() for p in module.parameters()]
    return factor * math.sqrt(sum(n * (0.01 * (i + 1)) ** 2 for i, n in enumerate(sizes)))


def step(agent, name, loss) -> list[float]:
    """How far the first entry of each tensor of a part has moved against its gradient."""
    parameters = list(agent.modules[name].parameters())
    before = [float(p.flatten()[0]) for p in parameters]
    agent.update(name, loss)
    now = [float(p.flatten()[0]) for p in parameters]
    return [a - b for a, b in zip(before, now, strict=True)]


@check(
    "1.31",
    "an update moves a part against its gradient, with its own optimiser",
    given="plain gradient descent, rate 0.25 (critic) and 0.5 (actor); slopes 0.01, 0.02 …",
)
def one_step(code):
    agent = plain_agent(code, clip=100.0)
    for name in ("critic", "actor"):
        moved = step(agent, name, weighted_sum(agent.modules[name]))
        expected = [RATES[name] * 0.01 * (i + 1) for i in range(len(moved))]
        yield f"steps of the {name}'s first tensors", moved[:3], expected[:3]
    count = len(list(agent.modules["model"].parameters()))
    moved = step(agent, "model", weighted_sum(agent.modules["model"]))
    yield "step of the model's last tensor", moved[-1], 0.01 * count


@check(
    "1.31",
    "the gradient of all parameters together is scaled down to the norm `clip` before the step",
    given="slopes 0.01, 0.02 … times 1,000; clip 0.5, then 3",
)
def clipped_together(code):
    for clip in (0.5, 3.0):
        agent = plain_agent(code, clip)
        critic = agent.modules["critic"]
        moved = step(agent, "critic", weighted_sum(critic, 1000.0))
        scale = RATES["critic"] * clip / norm_of(critic, 1000.0)
        expected = [scale * 10.0 * (i + 1) for i in range(len(moved))]
        yield f"steps where clip = {clip}", moved, expected


@check("1.31", "a gradient below the limit is left as it is", given="slopes 0.01 …, clip 100")
def small_gradients_stay(code):
    agent = plain_agent(code, clip=100.0)
    moved = step(agent, "critic", weighted_sum(agent.modules["critic"], 0.5))
    yield "steps", moved, [RATES["critic"] * 0.005 * (i + 1) for i in range(len(moved))]


@check(
    "1.31",
    "gradients of the update before do not count",
    given="old gradients of 5 everywhere; then two updates with slopes 0.01, 0.02 …",
)
def old_gradients_are_cleared(code):
    agent = plain_agent(code, clip=100.0)
    for p in agent.modules["critic"].parameters():
        p.grad = torch.full_like(p, 5.0)
    expected = [RATES["critic"] * 0.01 * (i + 1) for i in range(3)]
    for number in ("first", "second"):
        moved = step(agent, "critic", weighted_sum(agent.modules["critic"]))
        yield f"steps of the {number} update", moved[:3], expected


@check(
    "1.31",
    "the gradient may flow through other parts and is not left in them",
    given="a loss of actor and critic together; the critic is updated",
)
def nothing_is_left_elsewhere(code):
    agent = plain_agent(code, clip=100.0)
    actor, critic = agent.modules["actor"], agent.modules["critic"]
    before = [p.clone() for p in actor.parameters()]
    moved = step(agent, "critic", weighted_sum(critic) + weighted_sum(actor))
    left = [float(p.grad.abs().max()) for p in actor.parameters() if p.grad is not None]
    yield "steps of the critic", moved[:2], [0.0025, 0.005]
    yield "largest gradient left in the actor", max(left, default=0.0), 0.0
    same = all(torch.equal(a, b) for a, b in zip(before, actor.parameters(), strict=True))
    yield "actor unchanged", same, True


@check(
    "1.31",
    "what another part still holds neither moves it nor counts in the norm that is clipped",
    given="the actor still holds gradients of 2; the critic is updated with slopes 0.01 …, clip 1",
)
def other_parts_do_not_count(code):
    agent = plain_agent(code, clip=1.0)
    actor = agent.modules["actor"]
    for p in actor.parameters():
        p.grad = torch.full_like(p, 2.0)
    before = [p.clone() for p in actor.parameters()]
    moved = step(agent, "critic", weighted_sum(agent.modules["critic"]))
    yield "steps of the critic", moved[:2], [0.0025, 0.005]
    same = all(torch.equal(a, b) for a, b in zip(before, actor.parameters(), strict=True))
    yield "actor unchanged", same, True


# --- 1.32 next_row --------------------------------------------------------------------------------


class OneStep:
    """An environment whose next step is known."""

    def __init__(self, reward=-1.5, terminated=False, truncated=False):
        image = np.array([[[7, 250]]], np.uint8)
        self.obs = {"image": image, "position": np.array([0.25, -3.0, 2.5], np.float32)}
        self.answer, self.received = (self.obs, reward, terminated, truncated, {"lives": 3}), []

    def step(self, action):
        self.received.append(action)
        return self.answer


ACTION = [0.75, -0.5]


def row_after(code, **answer):
    """The row that one step leads to, and the environment."""
    env = OneStep(**answer)
    return code.train.next_row(env, np.array(ACTION, np.float32)), env


@check(
    "1.32",
    "a row holds the new observation, the action that led to it, and the reward that came with it",
    given="action [0.75 -0.5]; env.step answers position [0.25 -3 2.5], reward -1.5, no end",
)
def row_of_one_step(code):
    row, env = row_after(code)
    flags = ["is_first", "is_last", "is_terminal"]
    yield "names", sorted(row), sorted(["action", "image", "position", "reward", *flags])
    yield "position", row["position"], [0.25, -3, 2.5]
    yield "image", row["image"], [[[7, 250]]]
    yield "dtype of image", str(row["image"].dtype), "uint8"
    yield "action", row["action"], ACTION
    yield "reward", float(row["reward"]), -1.5
    received = [np.asarray(action).tolist() for action in env.received]
    yield "actions that env.step received", received, [ACTION]


@check(
    "1.32",
    "is_last: the episode ends for any reason; is_terminal: the future is worth nothing",
    given="env.step says: nothing · a time limit (truncated) · death (terminated) · both at once",
)
def flags_of_an_end(code):
    for words, terminated, truncated in (
        ("a step in the middle", False, False),
        ("a time limit", False, True),
        ("death", True, False),
        ("both at once", True, True),
    ):
        row, _ = row_after(code, terminated=terminated, truncated=truncated)
        end = terminated or truncated
        yield f"is_last after {words}", bool(row["is_last"]), end
        yield f"is_terminal after {words}", bool(row["is_terminal"]), terminated
        yield f"is_first after {words}", bool(row["is_first"]), False


# --- 1.33 train_simple ----------------------------------------------------------------------------

LENGTHS = [3, 2, 4, 3, 5]  # actions of the episodes 1, 2, …; the odd ones end by death


class Corridor:
    """Step t of episode n shows 10 n + t, which is its reward too. It ends after LENGTHS[n - 1].

    Every other episode ends by death, the rest by a time limit.
    """

    def __init__(self):
        self.episode, self.t, self.count = 0, 0, 0
        self.seeds, self.received, self.over = [], [], True

    def look(self):
        image = np.full((1, 2, 3), 10 * self.episode + self.t, np.uint8)
        return {"image": image, "position": np.array([10.0 * self.episode + self.t], np.float32)}

    def reset(self, seed=None):
        self.seeds.append(seed)
        self.episode, self.t, self.over = self.episode + 1, 0, False
        return self.look(), {}

    def step(self, action):
        self.received.append(action)
        self.t, self.count = self.t + 1, self.count + 1
        end = self.t == LENGTHS[(self.episode - 1) % len(LENGTHS)]
        dies = self.episode % 2 == 1
        return self.look(), 10.0 * self.episode + self.t, end and dies, end and not dies, {}


class Scripted:
    """An agent that writes down what it is asked. Its n-th action is [n / 10, -n / 5]."""

    def __init__(self, env):
        self.env, self.actions, self.keys = env, 2, ["image", "position"]
        self.device = torch.device("cpu")
        self.config = SimpleNamespace(batch_size=3, batch_length=5)
        self.seen, self.states, self.explored = [], [], []
        self.trained, self.batches = [], []

    def initial_state(self, batch_size):
        return {"act": 0, "action": torch.zeros(batch_size, 2)}

    def act(self, obs, state, explore=True):
        self.seen.append(obs)
        self.states.append(state["act"])
        self.explored.append(bool(explore))
        number = len(self.seen)
        action = torch.tensor([[number / 10, -number / 5]])
        return action, {"act": number, "action": action}

    def train_step(self, batch):
        self.trained.append(self.env.count)
        self.batches.append(batch)
        return {"loss": torch.tensor(0.5 * len(self.trained))}, None

    def state_dict(self):
        return {}


class Rows:
    """A buffer that writes down what it is given. It is ready from a step on."""

    def __init__(self, env, ready_from):
        self.env, self.ready_from = env, ready_from
        self.rows, self.asked, self.samples = [], [], []

    def __len__(self):
        return len(self.rows)

    def add(self, row):
        self.rows.append(dict(row))

    def ready(self, length):
        self.asked.append(int(length))
        return self.env.count >= self.ready_from

    def sample(self, batch, length):
        self.samples.append({"sizes": [int(batch), int(length)]})
        return self.samples[-1]


def loop(code, steps, ready_from=0, prefill=100, **options):
    """Runs the loop; returns environment, agent, buffer and log."""
    env = Corridor()
    agent, buffer = Scripted(env), Rows(env, ready_from)
    log = code.train.train_simple(env, agent, buffer, steps, prefill=prefill, seed=7, **options)
    return env, agent, buffer, log


def column(rows, name, index=0):
    """One number of every row."""
    return [float(np.asarray(row[name]).reshape(-1)[index]) for row in rows]


def where(rows, flag):
    """Numbers of the rows, from 0, that have a flag."""
    return [number for number, row in enumerate(rows) if row[flag]]


@check(
    "1.33",
    "every row is stored once and in order, those that end and those that begin an episode too",
    given="8 steps; step t of episode n shows 10 n + t; 3 actions to a death, 2 to a time limit",
)
def stored_rows(code):
    _, _, buffer, _ = loop(code, 8)
    rows = buffer.rows
    shown = [10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 33]
    yield "position in the rows", column(rows, "position"), shown
    yield "reward", column(rows, "reward"), [0, 11, 12, 13, 0, 21, 22, 0, 31, 32, 33]
    actions = [0, 0.1, 0.2, 0.3, 0, 0.4, 0.5, 0, 0.6, 0.7, 0.8]
    yield "action[0]", column(rows, "action"), actions
    yield "rows with is_first", where(rows, "is_first"), [0, 4, 7]
    yield "rows with is_last", where(rows, "is_last"), [3, 6]
    yield "rows with is_terminal", where(rows, "is_terminal"), [3]


@check(
    "1.33",
    "the agent sees the newest row, with is_first, and remembers what it returned before",
    given="8 steps, episodes of 3 and 2 actions and more; step t of episode n shows 10 n + t",
)
def what_the_agent_sees(code):
    env, agent, _, _ = loop(code, 8)
    shown = column(agent.seen, "position")
    yield "position seen at each act", shown, [10, 11, 12, 20, 21, 30, 31, 32]
    yield "names that the agent misses", sorted({"image", "position"} - set(agent.seen[0])), []
    flagged = [bool(np.asarray(obs["is_first"]).all()) for obs in agent.seen if "is_first" in obs]
    yield "is_first at each act", flagged, [True, False, False, True, False, True, False, False]
    yield "shape of image", list(agent.seen[1]["image"].shape), [1, 1, 2, 3]
    yield "shape of is_first", list(np.asarray(agent.seen[1].get("is_first")).shape), [1]
    inside = [state for state, x in zip(agent.states, shown, strict=True) if x % 10]
    yield "the act that gave the state, inside episodes", inside, [1, 2, 4, 6, 7]
    yield "collecting explores", agent.explored, [True] * 8
    arrays = all(isinstance(action, np.ndarray) for action in env.received)
    yield "the environment gets NumPy arrays", arrays, True
    yield "shape of an action there", list(np.asarray(env.received[0]).shape), [2]
    yield "resets with the seed 7", [seed == 7 for seed in env.seeds], [True, False, False]


@check(
    "1.33",
    "an update follows each step after the prefill that `train_every` divides",
    given="20 steps, a buffer that is always ready, batch_size 3, batch_length 5",
)
def steps_of_updates(code):
    _, agent, buffer, _ = loop(code, 20, prefill=6, train_every=4)
    yield "prefill 6, every 4: updates after step", agent.trained, [8, 12, 16, 20]
    sizes = [sample["sizes"] for sample in buffer.samples]
    yield "[batch, length] of each sample", sizes, [[3, 5]] * 4
    same = [a is b for a, b in zip(agent.batches, buffer.samples, strict=False)]
    yield "train_step gets the sample", same, [True] * 4
    trained = loop(code, 20, prefill=8, train_every=4)[1].trained
    yield "prefill 8, every 4: updates after step", trained, [12, 16, 20]
    trained = loop(code, 12, prefill=9, train_every=1)[1].trained
    yield "prefill 9, every 1: updates after step", trained, [10, 11, 12]


@check(
    "1.33",
    "there is no update before the buffer is ready for sequences of batch_length",
    given="12 steps, prefill 2, train_every 2; the buffer is ready from step 7 on",
)
def waits_for_the_buffer(code):
    _, agent, buffer, _ = loop(code, 12, ready_from=7, prefill=2, train_every=2)
    yield "updates after step", agent.trained, [8, 10, 12]
    yield "lengths asked for", sorted(set(buffer.asked)), [5]


@check(
    "1.33",
    "the log has the mean return of the episodes that ended since the last entry, and the metrics",
    given="rewards 11 12 13 | 21 22 | 31 32 33 34 | 41 42 43 of 4 episodes, an entry each 4 steps; "
    "the metric `loss` is half the number of updates",
)
def what_the_log_says(code):
    *_, log = loop(code, 12, prefill=4, train_every=2, log_every=4)
    yield "episode_return", [entry["episode_return"] for entry in log], [36, 43, 128]
    yield "loss", [entry.get("loss") for entry in log], [None, 1, 2]
