"""DreamerV2's agent: presets, world-model loss, dreams, gradient routing, acting, saving.

Sources: arXiv:2010.02193, Table D.1; danijar/dreamerv2, agent.py, configs.yaml, common/tfutils.py.
"""

import copy
import io
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from solutions.paper2_dreamerv2 import train
from solutions.paper2_dreamerv2.networks import continue_loss, normal_loss
from solutions.paper2_dreamerv2.rssm import get_feature, kl_loss
from solutions.paper2_dreamerv2.train import SIZES, TASKS, Agent, Config, DreamerV2
from tests import oracle

IMAGE = {"image": SimpleNamespace(shape=(1, 8, 8))}
VECTOR = {"position": SimpleNamespace(shape=(3,))}
DISCRETE, CONTINUOUS = SimpleNamespace(n=3), SimpleNamespace(shape=(2,))
B, T = 2, 4


def tiny(**options) -> Config:
    sizes = dict(
        num_categoricals=3, num_categories=4, rnn_hidden_dim=7, rssm_hidden_dim=6, embed_dim=64,
        hidden_dim=8, head_layers=1, vector_layers=1, batch_size=B, seq_len=T,
        imagination_horizon=4, free_nats=0.0, use_continue=True, entropy_scale=0.01,
    )  # fmt: skip
    return Config(**sizes | options)


def make_agent(actions=CONTINUOUS, spaces=IMAGE | VECTOR, seed=1, **options) -> DreamerV2:
    torch.manual_seed(seed)
    agent = Agent(spaces, actions, tiny(**options))
    with torch.no_grad():
        for p in agent.modules.parameters():
            p.add_(torch.empty_like(p).normal_(0, 0.1))
    return agent


def make_batch(actions=CONTINUOUS, size=8, seed=2, length=T) -> dict:
    random = np.random.default_rng(seed)
    if hasattr(actions, "n"):
        action = np.eye(actions.n, dtype=np.float32)[random.integers(actions.n, size=(B, length))]
    else:
        action = random.uniform(-1, 1, (B, length, *actions.shape)).astype(np.float32)
    return {
        "image": random.integers(0, 256, (B, length, 1, size, size), dtype=np.uint8),
        "position": random.normal(size=(B, length, 3)).astype(np.float32),
        "action": action,
        "reward": random.normal(size=(B, length)).astype(np.float32),
        "is_first": np.zeros((B, length), bool),
        "is_last": np.zeros((B, length), bool),
        "is_terminal": np.zeros((B, length), bool),
    }


def snapshot(*modules):
    return [x.clone() for module in modules for x in module.state_dict().values()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# --- options --------------------------------------------------------------------------------------


def test_the_options_for_control_tasks():
    c = Config(**SIZES["dmc"])
    assert c == Config()
    assert (c.num_categoricals, c.num_categories, c.state_dim) == (32, 32, 1024)
    assert (c.rnn_hidden_dim, c.rssm_hidden_dim, c.hidden_dim, c.head_layers) == (200, 200, 400, 4)
    assert (c.embed_dim, c.depth, c.layer_norm) == (1536, 48, False)
    assert (c.batch_size, c.seq_len, c.batch_length, c.imagination_horizon) == (16, 50, 50, 15)
    assert (c.kl_balance, c.kl_scale, c.free_nats) == (0.8, 1.0, 1.0)
    assert (c.use_continue, c.reward_transform, c.gamma, c.lambda_) == (False, "none", 0.99, 0.95)
    assert (c.world_model_lr, c.actor_lr, c.critic_lr) == (3e-4, 8e-5, 8e-5)
    assert (c.clip, c.weight_decay, c.entropy_scale, c.slow_interval) == (100, 1e-6, 1e-4, 100)


def test_the_options_for_atari():
    c = Config(**SIZES["atari"])
    assert (c.rnn_hidden_dim, c.rssm_hidden_dim, c.hidden_dim, c.embed_dim) == (600, 600, 400, 1536)
    assert (c.kl_balance, c.kl_scale, c.free_nats) == (0.8, 0.1, 0.0)
    assert (c.use_continue, c.continue_scale, c.reward_transform) == (True, 5.0, "tanh")
    assert (c.gamma, c.lambda_, c.entropy_scale) == (0.999, 0.95, 1e-3)
    assert (c.world_model_lr, c.actor_lr, c.critic_lr) == (2e-4, 4e-5, 1e-4)


@pytest.mark.parametrize("size", ["dmc", "atari"])
def test_departures_are_off_in_the_paper(size):
    c = Config(**SIZES[size])
    assert (c.imagine_last, c.actor_delay, c.reconstruction_scale, c.reward_scale) == (0, 0, 1, 1)
    assert not any("agent" in options for options in TASKS[size].values())


def test_the_schedules_of_the_official_code():
    """A batch of 16 × 50 every 5 decisions for control tasks, every 16 for Atari."""
    rows = Config().batch_size * Config().seq_len
    assert TASKS["dmc"]["dmc_pixels"]["train_ratio"] == rows / 5
    assert TASKS["atari"]["atari"]["train_ratio"] == rows / 16


@pytest.mark.parametrize(
    "options",
    [dict(actor_grad="reinforced"), dict(reward_transform="sign"), dict(embed_dim=1000),
     dict(seq_len=1), dict(imagination_horizon=1), dict(slow_interval=0)],
)  # fmt: skip
def test_senseless_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options)).split("_")[0]):
        Config(**options)


@pytest.mark.parametrize(
    "options, discrete, continuous",
    [({}, 1, 0), (dict(actor_grad="reinforce"), 1, 1), (dict(actor_grad="dynamics"), 0, 0),
     (dict(actor_grad="both", rho=0.3), 0.3, 0.3)],
)  # fmt: skip
def test_which_gradient_trains_which_actor(options, discrete, continuous):
    assert make_agent(DISCRETE, **options).rho == discrete
    assert make_agent(CONTINUOUS, **options).rho == continuous


# --- presets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size, channels, actions, deter", [("dmc", 3, CONTINUOUS, 200), ("atari", 1, DISCRETE, 600)]
)
def test_the_number_of_parameters_of_the_presets(size, channels, actions, deter):
    with torch.device("meta"):
        spaces = {"image": SimpleNamespace(shape=(channels, 64, 64))}
        agent = Agent(spaces, actions, Config(**SIZES[size]), "meta")

    def mlp(outputs):
        inputs = 1024 + deter
        return (inputs + 1) * 400 + 3 * 401 * 400 + 401 * outputs

    count = agent.actions
    encoder = sum((i * 16 + 1) * o for i, o in ((channels, 48), (48, 96), (96, 192), (192, 384)))
    decoder = (1024 + deter + 1) * 1536 + sum(
        (i * k * k + 1) * o for i, o, k in ((1536, 192, 5), (192, 96, 5), (96, 48, 6))
    ) + (48 * 36 + 1) * channels  # fmt: skip
    gru = (2 * deter + 1) * 3 * deter + 2 * 3 * deter
    prior = (deter + 1) * deter + (deter + 1) * 1024
    post = (deter + 1536 + 1) * deter + (deter + 1) * 1024
    heads = (1 + agent.config.use_continue) * mlp(1)
    model = encoder + decoder + (1024 + count + 1) * deter + gru + prior + post + heads
    actor = mlp(count if agent.discrete else 2 * count)
    # A transposed convolution's bias has one entry for each output channel, as counted above.
    assert sum(p.numel() for p in agent.parameters) == model + actor + mlp(1)


@pytest.mark.parametrize(
    "size, channels, actions", [("dmc", 3, CONTINUOUS), ("atari", 1, DISCRETE)]
)
def test_the_presets_take_a_step(size, channels, actions):
    """At full size, on few rows."""
    spaces = {"image": SimpleNamespace(shape=(channels, 64, 64))}
    config = Config(**SIZES[size] | dict(batch_size=B, seq_len=2, imagination_horizon=2))
    agent = Agent(spaces, actions, config)
    batch = make_batch(actions, 64, length=2)
    batch["image"] = np.repeat(batch["image"], channels, 2)
    parts = (agent.world_model, agent.actor, agent.critic)
    before = [snapshot(part) for part in parts]
    metrics, latents = agent.train_step(batch)
    assert latents is None and all(math.isfinite(x) for x in metrics.values())
    assert not any(same(a, snapshot(part)) for a, part in zip(before, parts, strict=True))
    obs = {"image": batch["image"][:, 0], "is_first": np.ones(B, bool)}
    action, _ = agent.act(obs, agent.initial_state(B))
    assert action.shape == (B, agent.actions) and action.abs().max() <= 1


@pytest.mark.parametrize("actions", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
@pytest.mark.parametrize("spaces", [IMAGE, VECTOR, IMAGE | VECTOR], ids=["image", "vector", "both"])
@pytest.mark.parametrize("kind", ["reinforce", "dynamics", "both"])
def test_every_kind_of_task_trains(actions, spaces, kind):
    agent = make_agent(actions, spaces, actor_grad=kind)
    before = snapshot(agent.actor)
    for _ in range(2):
        metrics, _ = agent.train_step(make_batch(actions))
    assert all(math.isfinite(x) for x in metrics.values())
    assert not same(before, snapshot(agent.actor))


# --- rewards --------------------------------------------------------------------------------------


def test_rewards_are_scaled_and_then_transformed():
    reward = np.array([[-10.0, 0.0, 0.5, 1e4]] * B, np.float32)
    for kind, function in (("none", float), ("tanh", math.tanh), ("symlog", oracle.symlog)):
        agent = make_agent(reward_transform=kind, reward_scale=0.1)
        got = agent.prepare(make_batch() | {"reward": reward})["reward"][0]
        assert got.tolist() == pytest.approx([function(0.1 * x) for x in reward[0].tolist()])


@pytest.mark.parametrize("x", [-1e4, -10.0, -1e-8, 0.0, 0.3, 1e4])
def test_symlog_and_symexp_are_there_and_inverse(x):
    x = torch.tensor(x)
    assert train.symlog(x).item() == pytest.approx(oracle.symlog(x.item()))
    assert train.symexp(train.symlog(x)).item() == pytest.approx(x.item(), rel=1e-5)


# --- world model ----------------------------------------------------------------------------------


def test_the_loss_is_the_sum_of_its_four_parts(draws):
    draws()
    agent = make_agent(kl_scale=0.3, reconstruction_scale=2.0, continue_scale=5.0, gamma=0.9)
    raw = make_batch()
    raw["is_terminal"][0, 3] = raw["is_last"][0, 3] = raw["is_last"][1, 3] = True
    batch, model = agent.prepare(raw), agent.world_model
    loss, states, metrics = model.loss(batch)
    feature = get_feature(states["h"], states["z"])
    means = model.decoder(feature)
    pixels = batch["image"].float() / 255 - 0.5
    expected = {
        "kl": 0.3 * kl_loss(states["post_logits"], states["prior_logits"], 0.8, 0.0)[0],
        "reconstruction": 2 * (normal_loss(means["image"], pixels)
                               + normal_loss(means["position"], batch["position"])).mean(),
        "reward": normal_loss(model.reward(feature), batch["reward"]).mean(),
        # A time limit is no death: its target is γ.
        "continue": 5 * continue_loss(
            model.continues(feature), torch.tensor([[0.0, 0, 0, 1], [0, 0, 0, 0]]), 0.9).mean(),
    }  # fmt: skip
    for name, value in expected.items():
        torch.testing.assert_close(metrics[f"loss/{name}"], value.detach())
    torch.testing.assert_close(loss, sum(expected.values()))
    assert 0 <= metrics["post_entropy"] <= math.log(4) + 1e-6


def test_each_part_reaches_the_encoder_but_not_actor_and_critic():
    agent = make_agent()
    loss, _, _ = agent.world_model.loss(agent.prepare(make_batch()))
    loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in agent.world_model.parameters())
    assert all(p.grad is None for p in [*agent.actor.parameters(), *agent.critic.parameters()])


def test_a_beginning_in_the_middle_resets_state_and_action(draws):
    draws()
    agent = make_agent()
    states = []
    for shift in (0.0, 1.0):
        batch = make_batch()
        batch["is_first"][:, 2] = True
        batch["position"][:, :2] += shift
        batch["action"][:, :3] += shift
        states.append(agent.world_model.loss(agent.prepare(batch))[1])
    for key in ("h", "z", "prior_logits"):
        assert torch.equal(states[0][key][:, 2:], states[1][key][:, 2:])
    assert not torch.equal(states[0]["h"][:, :2], states[1]["h"][:, :2])


# --- starts and dreams ----------------------------------------------------------------------------


@pytest.mark.parametrize("last, rows", [(0, T), (1, 1), (3, 3)])
def test_dreams_start_from_all_rows_or_the_last(last, rows):
    agent = make_agent(imagine_last=last)
    batch = agent.prepare(make_batch())
    batch["is_terminal"][1, -1] = 1
    _, states, _ = agent.world_model.loss(batch)
    start = agent.starts(states, batch["is_terminal"])
    assert start["h"].shape == (B * rows, 7) and start["z"].shape == (B * rows, 12)
    assert torch.equal(start["h"].reshape(B, rows, 7), states["h"][:, -rows:])
    assert start["is_terminal"].tolist() == [0] * (2 * rows - 1) + [1]
    assert not any(x.requires_grad for x in start.values())


def make_start(agent, count=6) -> dict:
    torch.manual_seed(3)
    c = agent.config
    return {
        "h": torch.randn(count, c.rnn_hidden_dim), "z": torch.randn(count, c.state_dim),
        "is_terminal": (torch.arange(count) == 1).float(),
    }  # fmt: skip


def test_a_dream_knows_whether_its_start_was_an_end():
    agent = make_agent(gamma=0.9)
    feature, action, rewards, continues, values = agent.imagine(make_start(agent))
    assert feature.shape == (6, 5, 19) and action.shape == (6, 5, 2)
    assert continues[:, 0].tolist() == pytest.approx([0.9, 0, 0.9, 0.9, 0.9, 0.9])
    predicted = agent.world_model.predict(feature)
    torch.testing.assert_close(rewards, predicted[0])
    torch.testing.assert_close(continues[:, 1:], predicted[1][:, 1:])
    torch.testing.assert_close(values, agent.slow_critic(feature))


def test_without_the_head_the_discount_is_constant():
    agent = make_agent(use_continue=False, gamma=0.9)
    assert agent.world_model.continues is None
    continues = agent.imagine(make_start(agent))[3]
    assert (continues == torch.tensor(0.9)).all()


@pytest.mark.parametrize("kind, attached", [("reinforce", False), ("both", True)])
def test_reinforce_alone_dreams_without_gradient(kind, attached):
    agent = make_agent(actor_grad=kind)
    feature, _, rewards, _, _ = agent.imagine(make_start(agent))
    assert feature.requires_grad == rewards.requires_grad == attached


# --- actor and critic -----------------------------------------------------------------------------


@pytest.mark.parametrize("actions", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def test_the_gradient_of_returns_reaches_the_policy_through_the_dream(actions):
    """Rewards and values depend on states alone, so it came through actions and the GRU."""
    agent = make_agent(actions, actor_grad="dynamics")
    feature, _, rewards, _, values = agent.imagine(make_start(agent))
    parameters = list(agent.actor.parameters())
    for x in (rewards, values):
        assert all(g.any() for g in torch.autograd.grad(x.sum(), parameters, retain_graph=True))
        first = torch.autograd.grad(x[:, 0].sum(), parameters, retain_graph=True, allow_unused=True)
        assert all(g is None or not g.any() for g in first)  # the start was no action's doing


@pytest.mark.parametrize("actions", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def test_training_the_actor_leaves_the_world_model_as_it_is(actions):
    agent = make_agent(actions, weight_decay=0.1)
    before = snapshot(agent.world_model)
    others = snapshot(agent.actor), snapshot(agent.critic)
    agent.train_actor_critic(make_start(agent))
    assert same(before, snapshot(agent.world_model))
    assert all(p.grad is None for p in agent.world_model.parameters())
    assert not same(others[0], snapshot(agent.actor))
    assert not same(others[1], snapshot(agent.critic))


def test_targets_are_those_of_the_slow_critic():
    returns = []
    for name in ("critic", "slow_critic", ""):
        agent = make_agent(DISCRETE)
        torch.manual_seed(9)
        for p in agent.modules[name].parameters() if name else ():
            p.data.add_(1)
        torch.manual_seed(9)
        returns.append(agent.train_actor_critic(make_start(agent))["return"].item())
    assert returns[0] == returns[2] != returns[1]


def test_the_slow_critic_is_no_part_of_training_and_follows_every_interval():
    agent = make_agent(slow_interval=3)
    assert not any(p.requires_grad for p in agent.slow_critic.parameters())
    learned = [id(p) for opt in agent.optimizers.values() for g in opt.param_groups
               for p in g["params"]]  # fmt: skip
    assert not {id(p) for p in agent.slow_critic.parameters()} & set(learned)
    assert len(learned) == len(agent.parameters)
    equal = []
    for _ in range(7):
        agent.train_step(make_batch())
        equal.append(same(snapshot(agent.critic), snapshot(agent.slow_critic)))
    assert equal == [True, False, False, True, False, False, True]


def test_the_actor_may_begin_later():
    agent = make_agent(actor_delay=2)
    before, moved = snapshot(agent.actor), []
    for _ in range(3):
        agent.train_step(make_batch())
        moved.append(not same(before, snapshot(agent.actor)))
    assert moved == [False, False, True]


# --- optimisers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model", "actor", "critic"])
def test_the_optimiser_is_that_of_the_official_code(name):
    agent = make_agent(world_model_lr=0.1, actor_lr=0.2, critic_lr=0.3)
    group = agent.optimizers[name].param_groups[0]
    assert isinstance(agent.optimizers[name], torch.optim.Adam)
    assert group["eps"] == 1e-5 and group["weight_decay"] == 0
    assert group["lr"] == dict(model=0.1, actor=0.2, critic=0.3)[name]


def test_weight_decay_multiplies_every_parameter_whatever_the_learning_rate():
    """Where the gradient is 0, Adam stays and decay alone is left; biases decay too."""
    for rate in (1e-3, 1e-1):
        agent = make_agent(weight_decay=0.25, critic_lr=rate)
        before = snapshot(agent.critic)
        agent.update("critic", sum(p.sum() * 0 for p in agent.critic.parameters()))
        for x, y in zip(before, snapshot(agent.critic), strict=True):
            torch.testing.assert_close(y, 0.75 * x)


def test_an_update_is_a_clipped_step_of_adam_after_the_decay():
    agent = make_agent(weight_decay=0.01, clip=0.5, critic_lr=0.1)
    parameters = list(agent.critic.parameters())
    before = [p.detach().clone() for p in parameters]
    slopes = [torch.randn_like(p) for p in parameters]
    agent.update("critic", sum((p * g).sum() for p, g in zip(parameters, slopes, strict=True)))
    norm = math.sqrt(sum(g.square().sum().item() for g in slopes))
    for p, old, g in zip(parameters, before, slopes, strict=True):
        clipped = g * 0.5 / norm
        step = 0.1 * clipped / (clipped.abs() + 1e-5)  # the first step of Adam
        torch.testing.assert_close(p.detach(), 0.99 * old - step, rtol=1e-4, atol=1e-6)


# --- acting ---------------------------------------------------------------------------------------


def obs_of(batch, t=0, first=False):
    return {"image": batch["image"][:, t], "position": batch["position"][:, t],
            "is_first": np.full(B, first)}  # fmt: skip


@pytest.mark.parametrize("actions", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def test_actions_are_random_before_training_sampled_in_it_and_the_mode_after(actions):
    agent = make_agent(actions)
    obs, state = obs_of(make_batch(), first=True), agent.initial_state(B)
    torch.manual_seed(0)
    draws = torch.stack([agent.act(obs, state)[0] for _ in range(300)])
    if agent.discrete:
        assert (draws.sum(-1) == 1).all() and draws.max() == 1
        assert draws.mean((0, 1)).tolist() == pytest.approx([1 / 3] * 3, abs=0.07)
    else:
        assert draws.abs().max() <= 1
        assert draws.flatten().std().item() == pytest.approx(1 / math.sqrt(3), abs=0.03)
    agent.updates = 1
    torch.manual_seed(0)
    assert len({tuple(agent.act(obs, state)[0].flatten().tolist()) for _ in range(20)}) > 1
    action, new = agent.act(obs, state, explore=False)
    policy = agent.actor(get_feature(new["h"], new["z"]))
    assert torch.equal(action, policy.mode()) and torch.equal(new["action"], action)


def test_is_first_resets_the_state_and_the_action_of_its_row(draws):
    draws()
    agent = make_agent()
    obs = obs_of(make_batch()) | {"is_first": np.array([True, False])}
    used = {key: torch.ones_like(x) for key, x in agent.initial_state(B).items()}
    fresh = agent.act(obs, agent.initial_state(B))[1]
    got = agent.act(obs, used)[1]
    assert torch.equal(got["h"][0], fresh["h"][0]) and torch.equal(got["z"][0], fresh["z"][0])
    assert not torch.equal(got["h"][1], fresh["h"][1])


def test_acting_filters_as_training_does(draws):
    draws()
    agent, batch = make_agent(), make_batch()
    batch["is_first"][:, 0] = True
    _, states, _ = agent.world_model.loss(agent.prepare(batch))
    state = agent.initial_state(B)
    for t in range(T):
        _, new = agent.act(obs_of(batch, t, t == 0), state)
        torch.testing.assert_close(new["h"], states["h"][:, t])
        if t + 1 < T:
            state = new | {"action": torch.as_tensor(batch["action"][:, t + 1])}


# --- looking and saving ---------------------------------------------------------------------------


@pytest.mark.parametrize("actions", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def test_dreams_show_what_is_real_reconstructed_and_imagined(actions, draws):
    draws()
    agent, batch = make_agent(actions), make_batch(actions)
    views = agent.dream(batch, context=2)
    assert set(views) == {"image", "position", "reward"}
    for name, view in views.items():
        assert {x.shape for x in view.values()} == {batch[name].shape}
        assert np.array_equal(view["reconstruction"][:, :2], view["imagination"][:, :2])
        assert not np.array_equal(view["reconstruction"], view["imagination"])
    assert {x.dtype for x in views["image"].values()} == {np.dtype(np.uint8)}


@pytest.mark.parametrize("actions", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def test_a_loaded_agent_goes_on_as_if_nothing_had_happened(actions):
    """slow_interval 3: the number of updates decides about the next copy."""
    agent = make_agent(actions, slow_interval=3)
    for _ in range(2):
        agent.train_step(make_batch(actions))
    file = io.BytesIO()
    torch.save(agent.state_dict(), file)
    file.seek(0)
    other = make_agent(actions, seed=8, slow_interval=3)
    other.load_state_dict(torch.load(file, weights_only=True))
    for x in (agent, other):
        torch.manual_seed(4)
        for seed in (5, 6):
            x.train_step(make_batch(actions, seed=seed))
    assert same(snapshot(agent.modules), snapshot(other.modules))
    assert agent.updates == other.updates == 4


def test_an_agent_of_another_size_is_refused():
    state = copy.deepcopy(make_agent().state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        make_agent(rnn_hidden_dim=5).load_state_dict(state)


def test_the_latent_statistics_are_the_kl_and_the_probabilities_of_every_categorical():
    agent = make_agent()
    batch = make_batch()
    torch.manual_seed(5)
    found = agent.latent_statistics(batch)
    assert {key: x.shape for key, x in found.items()} == {"kl": (B, T, 3), "probs": (B, T, 3, 4)}
    torch.manual_seed(5)
    _, states, metrics = agent.world_model.loss(agent.prepare(batch))
    for b, t, i in np.ndindex(B, T, 3):
        p, q = (
            oracle.softmax(states[f"{side}_logits"][b, t, i].tolist()) for side in ("post", "prior")
        )
        assert found["probs"][b, t, i] == pytest.approx(p, rel=1e-4)
        assert found["kl"][b, t, i] == pytest.approx(oracle.kl(p, q), rel=1e-3, abs=1e-6)
    assert found["kl"].sum(-1).mean() == pytest.approx(metrics["kl"].item(), rel=1e-4)
