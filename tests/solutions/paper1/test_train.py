"""DreamerV1's agent: world-model loss, dreams, gradient routing, acting, the short loop.

Sources: arXiv:1912.01603, Algorithm 1; danijar/dreamer, dreamer.py.
"""

import copy
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from solutions.paper1_dreamerv1 import train
from solutions.paper1_dreamerv1.buffer import ReplayBuffer
from solutions.paper1_dreamerv1.train import SIZES, TASKS, Agent, Config, DreamerV1
from tests import oracle

SPACES = {
    "image": SimpleNamespace(shape=(1, 8, 8)),
    "position": SimpleNamespace(shape=(3,)),
}
CONTINUOUS = SimpleNamespace(shape=(2,))
B, T = 2, 4


def tiny(**options) -> Config:
    sizes = dict(
        rnn_hidden_dim=7, state_dim=3, hidden_dim=6, depth=2, units=8, vector_layers=1,
        reward_layers=1, continue_layers=1, critic_layers=1, actor_layers=1, batch_size=B,
        batch_length=T, imagine_length=4, free_nats=0.0, use_continue=True,
    )  # fmt: skip
    return Config(**sizes | options)


def make_agent(seed=1, spaces=SPACES, **options) -> DreamerV1:
    torch.manual_seed(seed)
    agent = Agent(spaces, CONTINUOUS, tiny(**options))
    with torch.no_grad():
        for p in agent.modules.parameters():
            p.add_(torch.empty_like(p).normal_(0, 0.1))
    return agent


def make_batch(seed=2) -> dict:
    random = np.random.default_rng(seed)
    return {
        "image": random.integers(0, 256, (B, T, 1, 8, 8), dtype=np.uint8),
        "position": random.normal(size=(B, T, 3)).astype(np.float32),
        "action": random.uniform(-1, 1, (B, T, 2)).astype(np.float32),
        "reward": random.normal(size=(B, T)).astype(np.float32),
        "is_first": np.zeros((B, T), bool),
        "is_last": np.zeros((B, T), bool),
        "is_terminal": np.zeros((B, T), bool),
    }


def make_start(agent, count=6) -> dict:
    h = torch.randn(1, count, agent.config.rnn_hidden_dim)
    return {"h": h, "z": torch.randn(count, agent.config.state_dim)}


def spy(monkeypatch, owner, name):
    """Calls of owner.name from now on: (arguments, result)."""
    real, calls = getattr(owner, name), []

    def record(*args, **kwargs):
        result = real(*args, **kwargs)
        calls.append(([*args, *kwargs.values()], result))
        return result

    monkeypatch.setattr(owner, name, record)
    return calls


def snapshot(*modules):
    return [x.clone() for module in modules for x in module.state_dict().values()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# --- options --------------------------------------------------------------------------------------


def test_the_options_are_those_of_the_official_code():
    c = Config(**SIZES["paper"])
    assert c == Config()
    assert (c.rnn_hidden_dim, c.state_dim, c.hidden_dim, c.min_std) == (200, 30, 200, 0.1)
    assert (c.reward_layers, c.continue_layers, c.critic_layers, c.actor_layers) == (2, 3, 3, 4)
    assert (c.depth, c.units, c.arch, c.use_continue) == (32, 400, "official", False)
    assert (c.batch_size, c.batch_length, c.imagine_length) == (50, 50, 15)
    assert (c.free_nats, c.kl_scale, c.continue_scale) == (3.0, 1.0, 10.0)
    assert (c.gamma, c.lambda_, c.actor_init_std, c.exploration_noise) == (0.99, 0.95, 5.0, 0.3)
    assert (c.model_lr, c.actor_lr, c.critic_lr, c.clip) == (6e-4, 8e-5, 8e-5, 100.0)


def test_departures_are_off_in_the_paper():
    c = Config()
    assert (c.imagine_last, c.entropy_scale, c.actor_delay) == (0, 0.0, 0)
    assert (c.reconstruction_scale, c.reward_scale) == (1.0, 1.0)
    assert not any("agent" in options for options in TASKS["paper"].values())


def test_the_schedule_of_the_paper():
    """100 updates of 50 × 50 rows every 1,000 frames, which are 500 decisions at repeat 2."""
    schedule = TASKS["paper"]["dmc_pixels"]
    assert schedule["train_ratio"] == 100 * 50 * 50 / 500
    assert (schedule["prefill"], schedule["pretrain"], schedule["envs"]) == (2500, 100, 1)


def test_the_number_of_parameters_of_the_paper():
    with torch.device("meta"):
        spaces = {"image": SimpleNamespace(shape=(3, 64, 64))}
        agent = Agent(spaces, SimpleNamespace(shape=(6,)), Config(), "meta")

    def dense(inputs, units, layers, outputs):
        return (inputs + 1) * units + (layers - 1) * (units + 1) * units + (units + 1) * outputs

    encoder = sum((16 * i + 1) * o for i, o in [(3, 32), (32, 64), (64, 128), (128, 256)])
    kernels = [(1024, 128, 25), (128, 64, 25), (64, 32, 36), (32, 3, 36)]
    decoder = 231 * 1024 + sum((k * i + 1) * o for i, o, k in kernels)
    gru = 2 * 3 * (200 * 200 + 200)
    rssm = 37 * 200 + gru + dense(200, 200, 1, 60) + dense(1224, 200, 1, 60)
    counts = {name: sum(p.numel() for p in m.parameters()) for name, m in agent.modules.items()}
    assert counts == {
        "model": encoder + decoder + rssm + dense(230, 400, 2, 1),
        "actor": dense(230, 400, 4, 12),
        "critic": dense(230, 400, 3, 1),
    }


@pytest.mark.parametrize(
    "options",
    [dict(arch="vit"), dict(batch_length=1), dict(imagine_length=1), dict(imagine_last=1)],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError):
        tiny(**options)


def test_discrete_actions_are_refused_in_one_line():
    with pytest.raises(ValueError, match="3 discrete ones") as error:
        Agent(SPACES, SimpleNamespace(n=3), tiny())
    assert "\n" not in str(error.value)


# --- world model ----------------------------------------------------------------------------------


def test_the_reconstruction_loss_adds_images_and_vectors():
    agent = make_agent()
    model, batch = agent.world_model, make_batch()
    feature = torch.randn(B, T, 10)
    means = model.decoder(feature)
    image = torch.as_tensor(batch["image"]) / 255 - 0.5
    expected = 0.5 * (means["image"] - image).square().sum((2, 3, 4))
    position = torch.as_tensor(batch["position"])
    expected = expected + 0.5 * (means["position"] - position).square().sum(-1)
    loss = model.reconstruction_loss(feature, agent.prepare(batch))
    assert loss.shape == (B, T)
    torch.testing.assert_close(loss, expected)


def test_without_a_continue_predictor_the_discount_is_constant():
    agent = make_agent(use_continue=False, gamma=0.97)
    assert agent.world_model.continues is None
    reward, continues = agent.world_model.predict(torch.randn(2, 5, 10))
    assert reward.shape == (2, 5) and torch.all(continues == 0.97)


def test_the_continue_predictor_already_holds_the_discount():
    agent = make_agent()
    feature = torch.randn(2, 5, 10)
    _, continues = agent.world_model.predict(feature)
    logit = agent.world_model.continues(feature)[1, 3].item()
    assert continues[1, 3].item() == pytest.approx(oracle.sigmoid(logit), rel=1e-5)


# --- gradient routing -----------------------------------------------------------------------------


def test_the_world_model_loss_trains_every_parameter_of_the_world_model():
    agent = make_agent()
    loss = agent.world_model.loss(agent.prepare(make_batch()))[0]
    loss.backward()
    parameters = dict(agent.world_model.named_parameters())
    assert [name for name, p in parameters.items() if p.grad is None or not p.grad.any()] == []
    assert all(p.grad is None for m in (agent.actor, agent.critic) for p in m.parameters())


def test_training_the_world_model_leaves_actor_and_critic_alone():
    agent = make_agent()
    behaviour, model = snapshot(agent.actor, agent.critic), snapshot(agent.world_model)
    agent.train_world_model(make_batch())
    assert same(behaviour, snapshot(agent.actor, agent.critic))
    assert not same(model, snapshot(agent.world_model))


def test_training_actor_and_critic_leaves_the_world_model_alone():
    agent = make_agent()
    before = [snapshot(m) for m in (agent.world_model, agent.actor, agent.critic)]
    agent.train_actor_critic(make_start(agent))
    after = [snapshot(m) for m in (agent.world_model, agent.actor, agent.critic)]
    assert [same(*pair) for pair in zip(before, after, strict=True)] == [True, False, False]
    assert all(p.grad is None for p in agent.world_model.parameters())


def losses_of(agent, monkeypatch, start):
    """The losses that train_actor_critic steps on, {"actor", "critic"}, with their graphs."""
    losses = {}
    monkeypatch.setattr(agent, "update", lambda name, loss: losses.update({name: loss}))
    agent.train_actor_critic(start)
    return losses


def test_three_adam_optimisers_with_their_own_rates():
    agent = make_agent(model_lr=1e-3, actor_lr=2e-3, critic_lr=3e-3)
    for name, rate in (("model", 1e-3), ("actor", 2e-3), ("critic", 3e-3)):
        [group] = agent.optimizers[name].param_groups
        assert isinstance(agent.optimizers[name], torch.optim.Adam)
        assert (group["lr"], group["eps"], group["weight_decay"]) == (rate, 1e-7, 0)
        assert len(group["params"]) == len(list(agent.modules[name].parameters()))
    assert len(agent.parameters) == sum(len(list(m.parameters())) for m in agent.modules.values())


# --- dreams ---------------------------------------------------------------------------------------


def test_an_entropy_bonus_is_an_option(monkeypatch):
    agent = make_agent(entropy_scale=0.3)
    actors = spy(monkeypatch, train, "actor_loss")
    monkeypatch.setattr(train.Actor, "forward", lambda self, feature: Known(feature))
    losses = losses_of(agent, monkeypatch, make_start(agent))
    returns, weights = actors[0][0]
    plain = -(returns * weights).mean()
    assert losses["actor"].item() == pytest.approx((plain - 0.6 * weights.mean()).item(), rel=1e-5)


class Known:
    """A policy whose entropy is 2."""

    def __init__(self, feature):
        self.feature = feature

    def rsample(self):
        return self.feature[..., :2]

    def entropy(self):
        return torch.full(self.feature.shape[:-1], 2.0)


def test_the_actor_may_begin_later_than_the_critic():
    agent = make_agent(actor_delay=2)
    changed = []
    for _ in range(3):
        actor, critic = snapshot(agent.actor), snapshot(agent.critic)
        agent.train_step(make_batch())
        after = snapshot(agent.actor), snapshot(agent.critic)
        changed.append((not same(actor, after[0]), not same(critic, after[1])))
    assert changed == [(False, True), (False, True), (True, True)]


def test_the_policy_moves_towards_rewarded_actions(monkeypatch):
    """A world whose reward is the action: the latent is copied from it."""
    agent = make_agent(use_continue=False, imagine_length=3, actor_lr=1e-2)
    rssm = agent.world_model.rssm

    def step(state, action):
        h = torch.cat([action, torch.zeros(len(action), 5)], -1)
        return h, h[None]

    monkeypatch.setattr(rssm, "recurrent_step", step)
    monkeypatch.setattr(agent.world_model.reward, "forward", lambda feature: feature[..., 3])
    monkeypatch.setattr(agent.critic, "forward", lambda feature: 0 * feature[..., 0])
    monkeypatch.setattr(agent, "update", lambda n, x: real(n, x) if n == "actor" else None)
    real = DreamerV1.update.__get__(agent)
    start = make_start(agent, 32)
    feature = torch.cat([start["z"], start["h"][0]], -1)
    before = agent.actor(feature).mean[:, 0].mean()
    for _ in range(20):
        agent.train_actor_critic(start)
    assert agent.actor(feature).mean[:, 0].mean() > before + 0.5


# --- acting ---------------------------------------------------------------------------------------


def observe(agent, first=True, count=3):
    return {
        "image": np.zeros((count, 1, 8, 8), np.uint8),
        "position": np.ones((count, 3), np.float32),
        "is_first": np.full(count, first),
    }


def test_a_new_episode_forgets_the_old_one(draws):
    draws()
    agent = make_agent()
    agent.updates = 1
    fresh, state = agent.act(observe(agent), agent.initial_state(3))
    for _ in range(3):
        _, state = agent.act(observe(agent, first=False), state)
    assert not torch.equal(agent.act(observe(agent, first=False), state)[0], fresh)
    torch.testing.assert_close(agent.act(observe(agent, first=True), state)[0], fresh)


def test_acting_filters_as_learning_does(draws):
    draws(normal=0.2)
    agent, batch = make_agent(), make_batch()
    batch["is_first"][:, 0] = True
    states = agent.world_model.loss(agent.prepare(batch))[1]
    state = agent.initial_state(B)
    for t in range(T):
        obs = {key: batch[key][:, t] for key in ("image", "position", "is_first")}
        state["action"] = torch.as_tensor(batch["action"][:, t])
        _, state = agent.act(obs, state)
        torch.testing.assert_close(state["h"][0], states["h"][:, t])
        torch.testing.assert_close(state["z"], states["z"][:, t])


# --- looking and saving ---------------------------------------------------------------------------


def test_a_dream_shows_what_was_seen_and_what_is_expected(draws):
    draws()
    agent, batch = make_agent(reward_scale=0.1), make_batch()
    views = agent.dream(batch, context=2)
    assert set(views) == {"image", "position", "reward"}
    for key, view in views.items():
        assert set(view) == {"real", "reconstruction", "imagination"}
        for x in view.values():
            assert x.shape == batch[key].shape
        assert np.array_equal(view["real"], batch[key])
        np.testing.assert_allclose(view["reconstruction"][:, :2], view["imagination"][:, :2])
    assert views["image"]["imagination"].dtype == np.uint8
    # The future is imagined: later observations change nothing, later actions do.
    other = copy.deepcopy(batch)
    other["position"][:, 2:] += 1
    again = agent.dream(other, context=2)
    assert np.array_equal(again["reward"]["imagination"], views["reward"]["imagination"])
    assert not np.array_equal(again["reward"]["reconstruction"], views["reward"]["reconstruction"])
    other = copy.deepcopy(batch)
    other["action"][:, 2] *= -1
    again = agent.dream(other, context=2)["reward"]["imagination"]
    changed = ~np.isclose(again, views["reward"]["imagination"]).all(0)
    assert changed.tolist() == [False, False, True, True]


def test_the_latent_statistics_are_the_kl_of_every_unit(draws):
    draws(normal=0.2)
    agent, batch = make_agent(), make_batch()
    _, states, metrics = agent.world_model.loss(agent.prepare(batch))
    found = agent.latent_statistics(batch)
    assert set(found) == {"kl"} and found["kl"].shape == (B, T, 3)
    names = ("post_mean", "post_std", "prior_mean", "prior_std")
    for b, t, i in np.ndindex(B, T, 3):
        four = ([states[name][b, t, i].item()] for name in names)
        expected = oracle.normal_kl_closed(*four)
        assert found["kl"][b, t, i] == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert found["kl"].sum(-1).mean() == pytest.approx(metrics["kl"].item(), rel=1e-4)


def test_an_agent_continues_where_it_was_saved():
    agent, other = make_agent(1), make_agent(2)
    agent.train_step(make_batch(1))
    file = io.BytesIO()
    torch.save(agent.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other.updates == 1
    for x in (agent, other):
        torch.manual_seed(3)
        x.train_step(make_batch(2))
    assert same(snapshot(agent.modules), snapshot(other.modules))


def test_a_batch_that_is_seen_again_and_again_is_learned():
    agent = Agent(SPACES, CONTINUOUS, tiny(model_lr=1e-2))
    losses = [agent.train_step(make_batch())[0] for _ in range(40)]
    for name in ("loss/reconstruction", "loss/reward", "loss/continue"):
        assert losses[-1][name] < 0.8 * losses[0][name]


# --- the short loop -------------------------------------------------------------------------------


class Walk:
    """Ends after three steps, by death in even episodes and by a time limit in odd ones."""

    def __init__(self):
        self.episode, self.actions, self.seeds = -1, [], []

    def observation(self):
        return {
            "image": np.full((1, 8, 8), self.steps, np.uint8),
            "position": np.full(3, self.steps, np.float32),
        }

    def reset(self, seed=None):
        self.seeds.append(seed)
        self.episode, self.steps = self.episode + 1, 0
        return self.observation(), {}

    def step(self, action):
        self.steps += 1
        self.actions.append(action)
        end, dies = self.steps == 3, self.episode % 2 == 0
        return self.observation(), 10.0 + self.steps, end and dies, end and not dies, {}


def test_the_first_row_of_an_episode_is_neutral():
    env = Walk()
    first = train.first_row(env, 2, seed=5)
    assert env.seeds == [5] and first["reward"] == 0 and first["action"].tolist() == [0, 0]
    assert (first["is_first"], first["is_last"], first["is_terminal"]) == (True, False, False)


def test_the_short_loop_collects_learns_logs_and_saves(tmp_path, capsys):
    env, agent, buffer = Walk(), make_agent(), ReplayBuffer()
    path = tmp_path / "agent.pt"
    log = train.train_simple(
        env, agent, buffer, steps=40, prefill=20, train_every=4, log_every=10, path=path
    )
    assert len(env.actions) == 40 and agent.updates == 5
    assert [entry["step"] for entry in log] == [10, 20, 30, 40]
    assert log[0]["episode_return"] == 36 and "loss/kl" not in log[1] and "loss/kl" in log[2]
    assert capsys.readouterr().out.count("\n") == 4
    assert env.seeds[0] == 0 and set(env.seeds[1:]) == {None}
    assert len(buffer) == 13 * 4  # four rows for three steps
    for episode in buffer.episodes:
        assert episode["position"][:, 0].tolist() == [0, 1, 2, 3]
        assert episode["reward"].tolist() == [0, 11, 12, 13]
        assert episode["is_first"].tolist() == [True, False, False, False]
        assert not episode["action"][0].any()
    taken = np.concatenate([episode["action"][1:] for episode in buffer.episodes])
    np.testing.assert_array_equal(taken, np.array(env.actions)[: len(taken)])
    other = make_agent(2)
    other.load_state_dict(torch.load(path, weights_only=True))
    assert same(snapshot(agent.modules), snapshot(other.modules))
