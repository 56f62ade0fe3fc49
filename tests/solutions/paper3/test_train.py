"""DreamerV3's agent: world-model loss, behaviour loss, gradient routing, acting, saving.

Sources: arXiv:2301.04104v2 and Nature 640 (2025), Extended Data Tables 2 and 4;
danijar/dreamerv3, dreamerv3/agent.py.
"""

import copy
import io
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from solutions.paper3_dreamerv3 import rssm, train
from solutions.paper3_dreamerv3.train import SIZES, Agent, Config
from tests import oracle

SPACES = {
    "image": SimpleNamespace(shape=(1, 8, 8)),
    "position": SimpleNamespace(shape=(3,)),
}
DISCRETE = SimpleNamespace(n=3)
CONTINUOUS = SimpleNamespace(shape=(2,))
B, T = 2, 4


def tiny(**options) -> Config:
    sizes = dict(
        deter=16, hidden=8, stoch=3, classes=5, blocks=4, depth=2, units=8, layers=1, head_layers=1,
        bins=11, bin_limit=3.0, batch_size=B, batch_length=T, imagine_length=3, lr=1e-2, warmup=0,
    )  # fmt: skip
    return Config(**sizes | options)


def make_agent(action_space=DISCRETE, spaces=SPACES, seed=1, **options) -> Agent:
    """Parameters away from their start, where zero layers would hide missing gradients."""
    torch.manual_seed(seed)
    agent = Agent(spaces, action_space, tiny(**options))
    with torch.no_grad():
        for p in agent.modules.parameters():
            p.add_(torch.empty_like(p).normal_(0, 0.3))
    return agent


def make_batch(agent: Agent, batch=B, length=T, seed=2) -> dict:
    """Rows as the replay gives them. No episode begins or ends unless a test says so."""
    random = np.random.default_rng(seed)
    shape = (batch, length)
    if isinstance(agent.actor, train.DiscreteActor):
        action = np.eye(agent.actions, dtype=np.float32)[random.integers(0, agent.actions, shape)]
    else:
        action = random.uniform(-1, 1, (*shape, agent.actions)).astype(np.float32)
    obs = {"image": random.integers(0, 256, (*shape, 1, 8, 8), dtype=np.uint8),
           "position": random.normal(size=(*shape, 3)).astype(np.float32)}  # fmt: skip
    return {key: obs[key] for key in agent.keys} | {
        "action": action,
        "reward": random.normal(size=shape).astype(np.float32),
        "is_first": np.zeros(shape, bool),
        "is_last": np.zeros(shape, bool),
        "is_terminal": np.zeros(shape, bool),
        "h": random.uniform(-1, 1, (batch, 16)).astype(np.float16),
        "z": random.integers(0, 5, (batch, 3)).astype(np.uint8),
    }


def spy(monkeypatch, owner, name):
    """Calls of owner.name from now on, as lists of their positional arguments."""
    real, calls = getattr(owner, name), []

    def record(*args, **kwargs):
        calls.append([*args, *kwargs.values()])
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, record)
    return calls


def reached(agent: Agent, loss) -> set[str]:
    """Names of the parts that get a gradient from a loss."""
    rssm = agent.world_model.rssm
    parts = {
        "encoder": agent.world_model.encoder,
        "sequence model": torch.nn.ModuleList([rssm.h_in, rssm.z_in, rssm.a_in, rssm.core_h,
                                               rssm.core_in, rssm.core_norm, rssm.gates]),
        "prior": rssm.prior_mlp,
        "posterior": torch.nn.ModuleList([rssm.post_h, rssm.post_embed, rssm.post_out]),
        "decoder": agent.world_model.decoder,
        "reward": agent.world_model.reward,
        "continue": agent.world_model.continues,
        "actor": agent.actor,
        "critic": agent.critic,
        "slow critic": agent.slow_critic,
    }  # fmt: skip
    agent.modules.zero_grad(set_to_none=True)
    loss.backward()
    names = set()
    for name, part in parts.items():
        if any(p.grad is not None and p.grad.any() for p in part.parameters()):
            names.add(name)
    return names


def snapshot(*modules):
    return [x.clone() for module in modules for x in module.state_dict().values()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# --- sizes and options ----------------------------------------------------------------------------


def test_the_options_are_those_of_the_paper():
    c = Config()
    assert (c.batch_size, c.batch_length, c.imagine_length) == (16, 64, 15)
    assert (c.scale_dyn, c.scale_rep, c.scale_image, c.scale_vector) == (1.0, 0.1, 1.0, 1.0)
    assert (c.free_nats, c.unimix, c.bins, c.bin_limit) == (1.0, 0.01, 255, 20.0)
    assert (c.discount_horizon, c.lambda_, c.entropy_scale) == (333, 0.95, 3e-4)
    assert (c.scale_replay_value, c.slow_rate, c.imagine_last) == (0.3, 0.02, 0)
    assert (c.lr, c.warmup, c.agc) == (4e-5, 1000, 0.3)
    assert (c.stoch, c.blocks, c.layers, c.head_layers, c.strided) == (32, 8, 3, 1, True)


@pytest.mark.parametrize(
    "size, deter, units, classes",
    [
        ("1M", 512, 64, 4),
        ("12M", 2048, 256, 16),
        ("25M", 3072, 384, 24),
        ("50M", 4096, 512, 32),
        ("100M", 6144, 768, 48),
        ("200M", 8192, 1024, 64),
        ("400M", 12288, 1536, 96),
    ],
)
def test_every_width_grows_with_one_number(size, deter, units, classes):
    c = Config(**SIZES[size])
    assert (c.deter, c.hidden, c.units, c.classes, c.depth) == (
        deter, units, units, classes, classes,
    )  # fmt: skip
    assert size != "200M" or c == Config()


COUNTS = {"1M": 688_004, "12M": 10_498_772, "25M": 23_496_244, "50M": 41_659_284}


@pytest.mark.parametrize("size", COUNTS)
def test_the_number_of_parameters_is_near_the_name_of_the_size(size):
    """64×64 RGB and 18 actions; the slow critic, a copy, is not counted."""
    spaces = {"image": SimpleNamespace(shape=(3, 64, 64))}
    with torch.device("meta"):
        agent = Agent(spaces, SimpleNamespace(n=18), Config(**SIZES[size]), device="meta")
    count = sum(p.numel() for p in agent.parameters)
    print(f"{size}: {count:,} parameters")
    assert count == COUNTS[size] == oracle.parameter_count(Config(**SIZES[size]).units, 18)


# --- world model ----------------------------------------------------------------------------------


def test_the_world_model_loss_is_the_sum_of_its_scaled_parts(monkeypatch):
    agent = make_agent(scale_dyn=0.7, scale_rep=0.2, scale_image=1.5, scale_vector=3.0)
    twos = lambda *_: (torch.full((B, T), 2.0), torch.full((B, T), 5.0))  # noqa: E731
    monkeypatch.setattr(rssm, "kl_loss", twos)
    raw = spy(monkeypatch, rssm, "reconstruction_loss")
    loss, _, metrics = agent.world_model.loss(agent.prepare(make_batch(agent)))
    assert metrics["loss/dyn"].item() == pytest.approx(1.4)
    assert metrics["loss/rep"].item() == pytest.approx(1.0)
    names = ["dyn", "rep", "reward", "continue", "image", "position"]
    assert loss.item() == pytest.approx(sum(metrics[f"loss/{n}"].item() for n in names), rel=1e-6)
    for prediction, target, is_image in raw:
        y = target / 255 if is_image else torch.sign(target) * torch.log1p(target.abs())
        expected = (prediction - y).square().sum().item() / (B * T)
        name, scale = ("image", 1.5) if is_image else ("position", 3.0)
        assert metrics[f"loss/{name}"].item() == pytest.approx(scale * expected, rel=1e-4)


def test_the_default_scales_weigh_a_kl_of_two_as_two_point_two(monkeypatch):
    agent = make_agent()
    batch = agent.prepare(make_batch(agent))
    losses = []
    for kl in (0.0, 2.0):
        both = torch.full((B, T), kl)
        monkeypatch.setattr(rssm, "kl_loss", lambda *_, x=both: (x, x))
        torch.manual_seed(0)
        losses.append(agent.world_model.loss(batch)[0].item())
    assert losses[1] - losses[0] == pytest.approx(2.2, abs=1e-4)


def test_the_kl_compares_posterior_and_prior_of_the_same_row(monkeypatch, draws):
    draws()
    agent = make_agent(free_nats=0.5, unimix=0.03)
    calls = spy(monkeypatch, rssm, "kl_loss")
    batch = agent.prepare(make_batch(agent))
    _, (h, z), _ = agent.world_model.loss(batch)
    [(posterior, prior, free_nats, ratio)] = calls
    assert (free_nats, ratio) == (0.5, 0.03)
    model = agent.world_model.rssm
    torch.testing.assert_close(prior, model.prior(h))
    embed = model.post_embed(agent.world_model.encoder(batch))
    torch.testing.assert_close(posterior, model.posterior(h, embed))
    torch.testing.assert_close(z, model.sample(posterior))


def test_the_reported_kl_is_that_of_the_mixed_latents_without_free_nats(monkeypatch):
    agent = make_agent(free_nats=50.0, unimix=0.2)
    calls = spy(monkeypatch, rssm, "kl_loss")
    _, _, metrics = agent.world_model.loss(agent.prepare(make_batch(agent)))
    posterior, prior = (x.reshape(-1, 5).tolist() for x in calls[0][:2])
    pairs = [
        (oracle.mixed(p, 0.2), oracle.mixed(q, 0.2)) for p, q in zip(posterior, prior, strict=True)
    ]
    expected = sum(oracle.kl(p, q) for p, q in pairs) / (B * T)
    assert metrics["loss/dyn"].item() == 50.0
    assert metrics["kl"].item() == pytest.approx(expected, rel=1e-4)


def test_rewards_belong_to_the_state_of_their_own_row(monkeypatch):
    agent = make_agent()
    calls = spy(monkeypatch, agent.world_model.reward, "loss")
    batch = make_batch(agent)
    _, (h, z), _ = agent.world_model.loss(agent.prepare(batch))
    [(logits, target)] = calls
    assert torch.equal(target, torch.as_tensor(batch["reward"]))
    for t in range(T):
        alone = agent.world_model.reward(torch.cat([h[:, t], z[:, t].flatten(1)], -1))
        torch.testing.assert_close(logits[:, t], alone)


def test_the_continue_target_is_the_death_and_not_the_end_of_the_sequence(monkeypatch):
    agent = make_agent(discount_horizon=333)
    calls = spy(monkeypatch, rssm, "continue_loss")
    batch = make_batch(agent)
    batch["is_last"][:, -1] = True
    batch["is_terminal"][0, -1] = True
    _, (h, z), _ = agent.world_model.loss(agent.prepare(batch))
    [(logits, terminal, discount)] = calls
    assert logits.shape == (B, T)
    assert terminal.tolist() == [[0, 0, 0, 1], [0, 0, 0, 0]]
    assert discount == pytest.approx(332 / 333)
    alone = agent.world_model.continues(torch.cat([h[:, 2], z[:, 2].flatten(1)], -1))[:, 0]
    torch.testing.assert_close(logits[:, 2], alone)


def test_predictions_are_a_mean_reward_and_a_probability_that_holds_the_discount():
    agent = make_agent()
    state = torch.randn(2, 5, 31)
    reward, continues = agent.world_model.predict(state)
    assert reward.shape == continues.shape == (2, 5)
    logits = agent.world_model.reward(state)
    bins = oracle.symexp_bins(11, 3.0)
    probs = oracle.softmax(logits[1, 4].tolist())
    expected = sum(p * x for p, x in zip(probs, bins, strict=True))
    assert reward[1, 4].item() == pytest.approx(expected, abs=1e-4)
    logit = agent.world_model.continues(state)[1, 4, 0].item()
    assert continues[1, 4].item() == pytest.approx(oracle.sigmoid(logit), rel=1e-5)


def test_a_stored_latent_matters_unless_the_sequence_begins_an_episode():
    agent = make_agent()
    for starts in (False, True):
        hs = []
        for sign in (1, -1):
            batch = make_batch(agent)
            batch["is_first"][:, 0] = starts
            batch["h"] = sign * batch["h"]
            torch.manual_seed(0)
            hs.append(agent.world_model.loss(agent.prepare(batch))[1][0])
        assert torch.equal(*hs) == starts


def test_the_world_model_fits_a_batch_that_it_sees_again_and_again():
    torch.manual_seed(0)
    agent = Agent(SPACES, DISCRETE, tiny())
    batch = make_batch(agent)
    losses = [agent.train_world_model(batch)[0] for _ in range(30)]
    first, last = losses[0], losses[-1]
    assert last["loss/image"] < first["loss/image"] and last["loss/reward"] < first["loss/reward"]
    assert last["loss/position"] < 0.5 * first["loss/position"]


# --- gradient routing -----------------------------------------------------------------------------

WORLD = {"encoder", "sequence model", "prior", "posterior", "decoder", "reward", "continue"}


def world_part(monkeypatch, agent, keep, **batch_options):
    """The world-model loss with all of its parts but one replaced by zeros."""
    zero = torch.zeros(B, batch_options.get("length", T))
    if keep not in ("dyn", "rep"):
        monkeypatch.setattr(rssm, "kl_loss", lambda *_: (zero, zero))
    if keep != "decoder":
        monkeypatch.setattr(rssm, "reconstruction_loss", lambda *_: zero)
    if keep != "continue":
        monkeypatch.setattr(rssm, "continue_loss", lambda *_: zero)
    if keep != "reward":
        monkeypatch.setattr(agent.world_model.reward, "loss", lambda *_: zero)
    return agent.world_model.loss(agent.prepare(make_batch(agent, **batch_options)))[0]


def test_the_world_model_loss_trains_all_of_the_world_model_and_nothing_else():
    agent = make_agent()
    loss = agent.world_model.loss(agent.prepare(make_batch(agent)))[0]
    assert reached(agent, loss) == WORLD
    missing = [
        name
        for name, p in agent.world_model.named_parameters()
        if p.grad is None or not p.grad.any()
    ]
    assert missing == []


@pytest.mark.parametrize("keep", ["decoder", "reward", "continue"])
def test_predictions_train_the_encoder_through_the_sampled_latent(monkeypatch, keep):
    agent = make_agent()
    parts = reached(agent, world_part(monkeypatch, agent, keep, length=1))
    assert parts == {"encoder", "sequence model", "posterior", keep}


def test_the_dynamics_loss_does_not_reach_the_posterior_of_its_row(monkeypatch):
    agent = make_agent(scale_rep=0.0, free_nats=0.0)
    parts = reached(agent, world_part(monkeypatch, agent, "dyn", length=1))
    assert parts == {"sequence model", "prior"}


def test_the_dynamics_loss_reaches_the_posterior_through_the_next_state(monkeypatch):
    agent = make_agent(scale_rep=0.0, free_nats=0.0)
    parts = reached(agent, world_part(monkeypatch, agent, "dyn"))
    assert parts == {"sequence model", "prior", "posterior", "encoder"}


def test_the_representation_loss_does_not_reach_the_prior(monkeypatch):
    agent = make_agent(scale_dyn=0.0, free_nats=0.0)
    parts = reached(agent, world_part(monkeypatch, agent, "rep"))
    assert parts == {"sequence model", "posterior", "encoder"}


def behavior(agent, batch=None, last=0):
    """Posterior states with gradient, then both losses of actor and critic on them."""
    batch = agent.prepare(batch or make_batch(agent))
    _, (h, z), _ = agent.world_model.loss(batch)
    return agent.behavior_loss(batch, h, z)


@pytest.mark.parametrize("action_space", [DISCRETE, CONTINUOUS])
def test_the_loss_on_dreams_trains_actor_and_critic_alone(action_space):
    agent = make_agent(action_space)
    assert reached(agent, behavior(agent)[0]) == {"actor", "critic"}


@pytest.mark.parametrize("action_space", [DISCRETE, CONTINUOUS])
def test_the_policy_loss_trains_the_actor_alone(monkeypatch, action_space):
    agent = make_agent(action_space)
    monkeypatch.setattr(train, "critic_loss", lambda *_: torch.zeros(()))
    assert reached(agent, behavior(agent)[0]) == {"actor"}


def test_the_value_loss_on_dreams_trains_the_critic_alone(monkeypatch):
    agent = make_agent()
    monkeypatch.setattr(train, "actor_loss", lambda *_: torch.zeros(()))
    assert reached(agent, behavior(agent)[0]) == {"critic"}


def test_the_value_loss_on_replayed_states_trains_the_critic_and_the_representation():
    agent = make_agent()
    assert reached(agent, behavior(agent)[1]) == {
        "critic", "encoder", "sequence model", "posterior",
    }  # fmt: skip


def test_one_step_takes_world_dream_and_three_tenths_of_replay_value_together(monkeypatch):
    agent = make_agent()
    seen = []
    monkeypatch.setattr(agent, "update", seen.append)
    metrics, _ = agent.train_step(make_batch(agent))
    world = ["dyn", "rep", "reward", "continue", "image", "position"]
    expected = sum(metrics[f"loss/{name}"] for name in [*world, "policy", "value"])
    expected = expected + 0.3 * metrics["loss/replay_value"]
    assert seen[0].item() == pytest.approx(expected.item(), rel=1e-6)
    assert all(not x.requires_grad and x.ndim == 0 and x.isfinite() for x in metrics.values())


# --- behaviour ------------------------------------------------------------------------------------


def test_dreams_start_at_every_posterior_state_without_gradient(monkeypatch):
    agent = make_agent()
    calls = spy(monkeypatch, agent.world_model.rssm, "imagine")
    batch = agent.prepare(make_batch(agent))
    _, (h, z), _ = agent.world_model.loss(batch)
    agent.behavior_loss(batch, h, z)
    [(start_h, start_z, _, horizon)] = calls
    assert horizon == 3
    assert torch.equal(start_h, h.reshape(B * T, -1))
    assert torch.equal(start_z, z.reshape(B * T, 3, 5))
    assert not start_h.requires_grad and not start_z.requires_grad


def test_dreams_may_start_at_the_last_states_of_each_sequence_only(monkeypatch):
    agent = make_agent(imagine_last=3)
    dreams = spy(monkeypatch, agent.world_model.rssm, "imagine")
    returns = spy(monkeypatch, train, "compute_lambda_returns")
    batch = make_batch(agent)
    batch["is_terminal"][1, 2] = batch["is_last"][1, 2] = True
    batch = agent.prepare(batch)
    _, (h, z), _ = agent.world_model.loss(batch)
    agent.behavior_loss(batch, h, z)
    assert torch.equal(dreams[0][0], h[:, 1:].reshape(B * 3, -1))
    rewards, _, continues, is_last, _ = returns[1]
    assert torch.equal(rewards, batch["reward"][:, 1:])
    assert is_last.tolist() == [[0, 0, 0], [0, 1, 0]]
    assert (continues == 0).tolist() == [[False] * 3, [False, True, False]]


def dream_of(monkeypatch, agent, batch):
    """Everything that the losses on dreams are made of, and the metrics."""
    dreams, real = [], agent.world_model.rssm.imagine

    def record(*args):
        dreams.append(real(*args))
        return dreams[-1]

    monkeypatch.setattr(agent.world_model.rssm, "imagine", record)
    prepared = agent.prepare(batch)
    _, (h, z), _ = agent.world_model.loss(prepared)
    metrics = agent.behavior_loss(prepared, h, z)[2]
    return *dreams[0], torch.cat([h, z.flatten(2)], -1), metrics


@pytest.mark.parametrize("action_space", [DISCRETE, CONTINUOUS])
def test_the_losses_on_dreams_are_those_of_the_paper(monkeypatch, action_space):
    """log π(a_t | s_t), return and advantage of s_t, weight up to s_t; the last state is left out.

    The scale S is that of these returns, taken before they are used.
    """
    agent = make_agent(action_space, lambda_=0.8, entropy_scale=0.05, bin_limit=5.0)
    agent.normalizer.rate = 0.6
    bins = agent.critic.bins.tolist()
    with torch.no_grad():
        dream, actions, _, metrics = dream_of(monkeypatch, agent, make_batch(agent))
        rewards, continues = agent.world_model.predict(dream)
        logits = agent.critic(dream)
        values = agent.critic.mean(logits)
        slow = agent.slow_critic.mean(agent.slow_critic(dream))
        policy = agent.actor(dream)
        log_prob, entropy = agent.actor.log_prob(policy, actions), agent.actor.entropy(policy)
    n, horizon = B * T, 3
    assert dream.shape == (n, 1 + horizon, 31)
    returns = [
        oracle.lambda_returns(*(x[i].tolist() for x in (rewards, values, continues)), [0] * 4, 0.8)
        for i in range(n)
    ]
    flat = [x for row in returns for x in row]
    spread = 0.6 * (oracle.percentile(flat, 0.95) - oracle.percentile(flat, 0.05))
    scale = max(1.0, spread)
    assert scale > 1.0
    actor = critic = 0.0
    for i in range(n):
        weights = oracle.running_products(continues[i].tolist())
        for t in range(horizon):
            advantage = (returns[i][t] - values[i, t].item()) / scale
            gain = log_prob[i, t].item() * advantage + 0.05 * entropy[i, t].item()
            actor -= weights[t] * gain / (n * horizon)
            row = logits[i, t].tolist()
            for y in (returns[i][t], slow[i, t].item()):
                loss = oracle.cross_entropy(oracle.two_hot(y, bins), row)
                critic += weights[t] * loss / (n * horizon)
    assert metrics["loss/policy"].item() == pytest.approx(actor, rel=1e-4)
    assert metrics["loss/value"].item() == pytest.approx(critic, rel=1e-4)
    assert metrics["return"].item() == pytest.approx(sum(flat) / len(flat), rel=1e-4)
    assert metrics["return_scale"].item() == pytest.approx(scale, rel=1e-4)


def test_the_replay_value_loss_bootstraps_with_the_returns_of_dreams(monkeypatch):
    """Row 0 dies at t=2, row 1 is cut there: the last row of an episode teaches nothing itself."""
    agent = make_agent(discount_horizon=5, lambda_=0.8)
    batch = make_batch(agent)
    batch["is_last"][:, 2] = batch["is_terminal"][0, 2] = True
    with torch.no_grad():
        dream, _, state, metrics = dream_of(monkeypatch, agent, batch)
        rewards, continues = agent.world_model.predict(dream)
        values = agent.critic.mean(agent.critic(dream))
        logits = agent.critic(state)
        slow = agent.slow_critic.mean(agent.slow_critic(state))
    bins, expected = agent.critic.bins.tolist(), 0.0
    for b in range(B):
        bootstrap = []
        for t in range(T):
            numbers = [x[b * T + t].tolist() for x in (rewards, values, continues)]
            bootstrap.append(oracle.lambda_returns(*numbers, [0] * 4, 0.8)[0])
        last = batch["is_last"][b].tolist()
        live = [0.8 * (1 - x) for x in batch["is_terminal"][b].tolist()]  # γ = 1 - 1/5
        targets = oracle.lambda_returns(batch["reward"][b].tolist(), bootstrap, live, last, 0.8)
        for t in range(T - 1):
            for y in (targets[t], slow[b, t].item()):
                loss = oracle.cross_entropy(oracle.two_hot(y, bins), logits[b, t].tolist())
                expected += (1 - last[t]) * loss / (B * (T - 1))
    assert metrics["loss/replay_value"].item() == pytest.approx(expected, rel=1e-4)


def test_a_dream_that_starts_after_a_death_weighs_nothing(monkeypatch):
    """Start 0 ends at once: whatever it is rewarded, neither actor nor critic learns from it."""
    gradients = []
    for bonus in (0.0, 9.0):
        agent = make_agent()
        agent.normalizer.rate = 0.0
        real = agent.world_model.predict

        def predict(state, real=real, bonus=bonus):
            reward, continues = (x.clone() for x in real(state))
            reward[0] += bonus
            continues[0, 0] = 0
            return reward, continues

        monkeypatch.setattr(agent.world_model, "predict", predict)
        torch.manual_seed(3)
        behavior(agent)[0].backward()
        parts = (agent.actor, agent.critic)
        gradients.append([p.grad for part in parts for p in part.parameters()])
    assert same(*gradients)


def test_rewards_after_the_end_of_a_dream_do_not_count(monkeypatch):
    losses = []
    for bonus in (0.0, 9.0):
        agent = make_agent()
        agent.normalizer.rate = 0.0
        real = agent.world_model.predict

        def predict(state, real=real, bonus=bonus):
            reward, continues = (x.clone() for x in real(state))
            reward[:, 2:] += bonus
            continues[:, 1] = 0
            return reward, continues

        monkeypatch.setattr(agent.world_model, "predict", predict)
        torch.manual_seed(3)
        losses.append(behavior(agent)[0].item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("action_space", [DISCRETE, CONTINUOUS])
def test_large_rewards_leave_the_actor_alone_and_scale_the_critic_target(monkeypatch, action_space):
    """Rewards and values × 1000, with the scale of the returns settled (rate 1)."""
    gradients, targets = [], []
    for factor in (100.0, 100_000.0):
        agent = make_agent(action_space)
        agent.normalizer.rate = 1.0
        predict, mean = agent.world_model.predict, agent.critic.mean
        monkeypatch.setattr(
            agent.world_model, "predict",
            lambda x, f=factor, p=predict: (f * p(x)[0], p(x)[1]),
        )  # fmt: skip
        monkeypatch.setattr(agent.critic, "mean", lambda x, f=factor, m=mean: f * m(x))
        with monkeypatch.context() as context:
            calls = spy(context, train, "critic_loss")
            torch.manual_seed(3)
            loss = behavior(agent)[0]
        agent.modules.zero_grad(set_to_none=True)
        loss.backward()
        gradients.append([p.grad for p in agent.actor.parameters()])
        targets.append(calls[0][2])
    torch.testing.assert_close(targets[1], 1000 * targets[0], rtol=1e-4, atol=0)
    for a, b in zip(*gradients, strict=True):
        assert a.any()
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_the_slow_critic_regularises_but_does_not_make_the_returns():
    metrics = []
    for change in (0.0, 0.5):
        agent = make_agent()
        for p in agent.slow_critic.parameters():
            p.data += change * torch.sin(torch.arange(p.numel())).view(p.shape)
        torch.manual_seed(3)
        metrics.append(behavior(agent)[2])
    for key in ("return", "return_scale", "value", "advantage_size", "loss/policy"):
        assert metrics[0][key] == metrics[1][key]
    for key in ("loss/value", "loss/replay_value"):
        assert metrics[0][key] != metrics[1][key]


# --- updates --------------------------------------------------------------------------------------


def test_the_optimiser_holds_everything_but_the_slow_critic():
    agent = Agent(SPACES, DISCRETE, tiny())
    held = {id(p) for group in agent.optimizer.param_groups for p in group["params"]}
    parts = (agent.world_model, agent.actor, agent.critic)
    assert held == {id(p) for part in parts for p in part.parameters()}
    assert not any(p.requires_grad for p in agent.slow_critic.parameters())
    assert same(snapshot(agent.critic), snapshot(agent.slow_critic))
    fast = {p.data_ptr() for p in agent.critic.parameters()}
    assert not fast & {p.data_ptr() for p in agent.slow_critic.parameters()}


def test_a_fresh_agent_expects_nothing_and_acts_nearly_at_random():
    agent = Agent(SPACES, DISCRETE, tiny(layers=2))
    state = torch.randn(20, 31)
    assert not agent.world_model.predict(state)[0].any()
    assert not agent.critic.mean(agent.critic(state)).any()
    assert agent.actor.entropy(agent.actor(state)).min() > 0.99 * math.log(3)


def test_the_actor_mixes_as_much_of_the_uniform_distribution_as_the_config_says():
    agent = make_agent(unimix=0.3)
    agent.actor.mlp[-1].bias.data = torch.tensor([500.0, 0.0, 0.0])
    probs = agent.actor(torch.zeros(31)).exp()
    torch.testing.assert_close(probs, torch.tensor([0.8, 0.1, 0.1]))


@pytest.mark.parametrize("action_space", [DISCRETE, CONTINUOUS])
@pytest.mark.parametrize("keys", [("image",), ("position",), ("image", "position")])
def test_one_step_changes_every_part(action_space, keys):
    agent = make_agent(action_space, {key: SPACES[key] for key in keys})
    parts = (agent.world_model, agent.actor, agent.critic, agent.slow_critic, agent.normalizer)
    before = [snapshot(part) for part in parts]
    _, latents = agent.train_step(make_batch(agent))
    for part, old in zip(parts, before, strict=True):
        assert not same(snapshot(part), old)
    assert latents["h"].shape == (B, T, 16) and latents["h"].dtype == torch.float16
    assert latents["z"].shape == (B, T, 3) and latents["z"].dtype == torch.uint8


def test_one_sequence_of_two_rows_is_enough():
    agent = make_agent(imagine_length=1)
    metrics, _ = agent.train_step(make_batch(agent, batch=1, length=2))
    assert all(x.isfinite() for x in metrics.values())


def test_pooled_convolutions_train_as_well():
    agent = make_agent(strided=False)
    metrics, _ = agent.train_step(make_batch(agent))
    assert all(x.isfinite() for x in metrics.values())


def test_a_step_returns_the_posterior_states_as_new_latents(monkeypatch):
    agent = make_agent()
    calls = spy(monkeypatch, agent, "latents")
    batch = make_batch(agent)
    torch.manual_seed(4)
    _, latents = agent.train_step(batch)
    [(state,)] = calls
    h, z = state["h"], state["z"]
    assert torch.equal(latents["h"], h.half())
    assert torch.equal(latents["z"].long(), z.argmax(-1))
    other = make_agent()
    torch.manual_seed(4)
    _, again = other.train_world_model(batch)
    assert torch.equal(latents["h"], again["h"]) and torch.equal(latents["z"], again["z"])


def test_the_slow_critic_follows_the_updated_critic_once_a_step():
    agent = make_agent()
    slow = snapshot(agent.slow_critic)
    agent.train_step(make_batch(agent))
    for old, new, fast in zip(slow, agent.slow_critic.parameters(), agent.critic.parameters(),
                              strict=True):  # fmt: skip
        torch.testing.assert_close(new.data, 0.98 * old + 0.02 * fast.data)


def test_the_normaliser_moves_once_a_step_and_never_otherwise(monkeypatch):
    agent = make_agent()
    calls = spy(monkeypatch, agent.normalizer, "update")
    batch = make_batch(agent)
    agent.train_world_model(batch)
    agent.dream(batch, 2)
    obs = {key: batch[key][:, 0] for key in agent.keys} | {"is_first": np.ones(B, bool)}
    agent.act(obs, agent.initial_state(B))
    assert calls == []
    agent.train_step(batch)
    assert len(calls) == 1 and calls[0][0].numel() == B * T * 3


def test_the_first_update_of_a_warm_up_changes_nothing_but_averages():
    agent = make_agent(warmup=5)
    parts = (agent.world_model, agent.actor, agent.critic)
    before = snapshot(*parts)
    agent.train_step(make_batch(agent))
    assert same(before, snapshot(*parts))
    agent.train_step(make_batch(agent))
    assert not same(before, snapshot(*parts))


def test_gradients_are_clipped_before_the_step_as_the_config_says():
    agent = make_agent(agc=1e-3)
    norms = [p.detach().norm().clamp(min=1e-3) for p in agent.parameters]
    agent.train_step(make_batch(agent))
    ratios = [p.grad.norm() / n for p, n in zip(agent.parameters, norms, strict=True)]
    assert max(ratios) == pytest.approx(1e-3, rel=1e-4)
    p = agent.world_model.reward.mlp[-1].bias
    square = agent.optimizer.state[p]["square"]
    torch.testing.assert_close(square, 1e-3 * p.grad.square())  # the optimiser saw what was cut


def test_gradients_of_the_last_step_are_forgotten():
    agent = make_agent()
    for p in agent.parameters:
        p.grad = torch.full_like(p, torch.nan)
    agent.train_world_model(make_batch(agent))
    assert all(p.isfinite().all() for p in agent.parameters)


def test_training_the_world_model_leaves_actor_critic_and_normaliser_as_they_are():
    agent = make_agent()
    agent.train_step(make_batch(agent))  # the optimiser has momentum for all of them
    still = (agent.actor, agent.critic, agent.normalizer)
    before, world = snapshot(*still), snapshot(agent.world_model)
    agent.train_world_model(make_batch(agent, seed=5))
    assert same(before, snapshot(*still))
    assert not same(world, snapshot(agent.world_model))


def test_training_the_world_model_leaves_the_slow_critic_as_it_is():
    agent = make_agent()
    before = snapshot(agent.slow_critic)
    agent.train_world_model(make_batch(agent))
    assert same(before, snapshot(agent.slow_critic))


def test_training_actor_and_critic_leaves_the_world_model_as_it_is():
    agent = make_agent()
    agent.train_step(make_batch(agent))
    world = snapshot(agent.world_model)
    before = [snapshot(x) for x in (agent.actor, agent.critic, agent.slow_critic, agent.normalizer)]
    metrics, _ = agent.train_behavior(make_batch(agent, seed=5))
    assert same(world, snapshot(agent.world_model))
    parts = (agent.actor, agent.critic, agent.slow_critic, agent.normalizer)
    assert not any(same(a, snapshot(b)) for a, b in zip(before, parts, strict=True))
    assert {"loss/policy", "loss/value", "loss/replay_value"} <= set(metrics)


def test_training_apart_gives_actor_and_critic_the_gradients_of_training_together(monkeypatch):
    """The world model's loss adds nothing to them, and its being frozen takes nothing away."""
    gradients = []
    for method in ("train_step", "train_behavior"):
        agent = make_agent(agc=1e9)
        torch.manual_seed(6)
        getattr(agent, method)(make_batch(agent))
        parts = (agent.actor, agent.critic)
        gradients.append([p.grad for part in parts for p in part.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_the_replay_value_loss_is_scaled_by_its_option(monkeypatch):
    for method in ("train_step", "train_behavior"):
        losses = []
        for scale in (0.0, 2.0):
            agent = make_agent(scale_replay_value=scale)
            seen = []
            monkeypatch.setattr(agent, "update", seen.append)
            torch.manual_seed(6)
            metrics, _ = getattr(agent, method)(make_batch(agent))
            losses.append(seen[0].item())
        difference = 2 * metrics["loss/replay_value"].item()
        assert losses[1] - losses[0] == pytest.approx(difference, rel=1e-3)


# --- acting ---------------------------------------------------------------------------------------


def observation(agent, batch=3, first=False):
    rows = make_batch(agent, batch=batch, length=1)
    obs = {key: rows[key][:, 0] for key in agent.keys}
    return obs | {"is_first": np.full(batch, first)}


def some_state(agent, batch=3):
    state = {key: x.normal_() for key, x in agent.initial_state(batch).items()}
    state["z"] = torch.nn.functional.one_hot(torch.randint(0, 5, (batch, 3)), 5).float()
    return state


def test_the_initial_state_is_zero():
    state = make_agent().initial_state(3)
    shapes = {key: tuple(x.shape) for key, x in state.items()}
    assert shapes == {"h": (3, 16), "z": (3, 3, 5), "action": (3, 3)}
    assert not any(x.any() for x in state.values())


def test_actions_are_one_hot_or_real_and_remembered():
    for action_space, size in ((DISCRETE, 3), (CONTINUOUS, 2)):
        agent = make_agent(action_space)
        action, state = agent.act(observation(agent), agent.initial_state(3))
        assert action.shape == (3, size) and torch.equal(state["action"], action)
        assert not action.requires_grad
        if size == 3:
            assert ((action == 0) | (action == 1)).all() and (action.sum(-1) == 1).all()


def test_acting_filters_the_observation_with_the_previous_action(draws):
    draws()
    agent = make_agent()
    obs, state = observation(agent), some_state(agent)
    _, new = agent.act(obs, state)
    tensors = {key: torch.as_tensor(obs[key]) for key in agent.keys}
    embed = agent.world_model.encoder(tensors)[:, None]
    h, z, _ = agent.world_model.rssm.observe(
        embed, state["action"][:, None], torch.zeros(3, 1), (state["h"], state["z"])
    )
    torch.testing.assert_close(new["h"], h[:, 0])
    torch.testing.assert_close(new["z"], z[:, 0])
    policy = agent.actor(torch.cat([h[:, 0], z[:, 0].flatten(1)], -1))
    torch.testing.assert_close(new["action"], agent.actor.sample(policy))


def test_a_new_episode_forgets_the_one_before(draws):
    """Row 1 begins an episode; the others go on."""
    draws()
    agent = make_agent(CONTINUOUS)
    obs, state = observation(agent), some_state(agent)
    plain, _ = agent.act(obs, state)
    obs["is_first"][1] = True
    action, new = agent.act(obs, state)
    fresh, fresh_state = agent.act(obs, agent.initial_state(3))
    assert torch.equal(action[1], fresh[1]) and torch.equal(new["h"][1], fresh_state["h"][1])
    assert torch.equal(action[[0, 2]], plain[[0, 2]])
    assert not torch.equal(action[1], plain[1])


def test_environments_do_not_see_each_other(draws):
    draws()
    agent = make_agent(CONTINUOUS)
    obs, state = observation(agent), some_state(agent)
    action, new = agent.act(obs, state)
    order = [2, 0, 1]
    shuffled, _ = agent.act(
        {key: x[order] for key, x in obs.items()}, {key: x[order] for key, x in state.items()}
    )
    torch.testing.assert_close(shuffled, action[order])
    alone, alone_state = agent.act(
        {key: x[1:2] for key, x in obs.items()}, {key: x[1:2] for key, x in state.items()}
    )
    torch.testing.assert_close(alone, action[1:2])
    torch.testing.assert_close(alone_state["h"], new["h"][1:2])


@pytest.mark.parametrize("explore", [True, False])
def test_actions_are_sampled_in_training_and_evaluation_alike(draws, explore):
    agent = make_agent(CONTINUOUS)
    obs, state = observation(agent), some_state(agent)
    draws(normal=0.0)
    mean, _ = agent.act(obs, state, explore)
    draws(normal=1.0)
    noisy, _ = agent.act(obs, state, explore)
    assert (noisy - mean).min() >= 0.1


def test_acting_does_not_train_and_does_not_change_its_arguments():
    agent = make_agent()
    obs, state = observation(agent, first=True), some_state(agent)
    old = copy.deepcopy((obs, state))
    before = snapshot(agent.modules)
    agent.act(obs, state)
    assert same(before, snapshot(agent.modules))
    assert all(np.array_equal(obs[key], old[0][key]) for key in obs)
    assert all(torch.equal(state[key], old[1][key]) for key in state)


# --- replayed latents -----------------------------------------------------------------------------


def test_latents_survive_their_stay_in_the_replay():
    agent = make_agent()
    h = torch.randn(B, T, 16)
    index = torch.randint(0, 5, (B, T, 3))
    z = torch.nn.functional.one_hot(index, 5).float()
    stored = agent.latents({"h": h.requires_grad_(), "z": z})
    assert torch.equal(stored["z"], index.byte()) and not stored["h"].requires_grad
    for key, (shape, dtype) in agent.latent_space.items():
        assert tuple(stored[key].shape) == (B, T, *shape)
        assert stored[key].numpy().dtype == dtype
    batch = make_batch(agent) | {key: x[:, 1].numpy() for key, x in stored.items()}
    batch = agent.prepare(batch)
    assert torch.equal(batch["z"], z[:, 1])
    torch.testing.assert_close(batch["h"], h[:, 1].detach(), rtol=1e-3, atol=1e-6)


def test_flags_become_numbers_and_pixels_stay_bytes():
    agent = make_agent()
    batch = agent.prepare(make_batch(agent))
    for key in ("is_first", "is_last", "is_terminal", "h", "z"):
        assert batch[key].dtype == torch.float32
    assert batch["image"].dtype == torch.uint8


# --- dream ----------------------------------------------------------------------------------------


def test_a_dream_shows_what_is_real_reconstructed_and_imagined(draws):
    draws()
    agent = make_agent()
    batch = make_batch(agent, length=6)
    views = agent.dream(batch, context=2)
    assert sorted(views) == ["image", "position", "reward"]
    shapes = {"image": (B, 6, 1, 8, 8), "position": (B, 6, 3), "reward": (B, 6)}
    for key, view in views.items():
        assert sorted(view) == ["imagination", "real", "reconstruction"]
        for x in view.values():
            assert isinstance(x, np.ndarray) and x.shape == shapes[key]
            assert x.dtype == (np.uint8 if key == "image" else np.float32)
        assert np.array_equal(view["real"], batch[key])
        assert np.array_equal(view["imagination"][:, :2], view["reconstruction"][:, :2])
        assert not np.array_equal(view["imagination"], view["reconstruction"])


def test_a_dream_is_shown_in_the_units_of_the_observation(draws):
    draws()
    agent = make_agent()
    batch = make_batch(agent)
    views = agent.dream(batch, context=2)
    _, (h, z), _ = agent.world_model.loss(agent.prepare(batch))
    predictions = agent.world_model.decoder(h, z)
    expected = oracle.symexp(predictions["position"][1, 2, 0].item())
    assert views["position"]["reconstruction"][1, 2, 0] == pytest.approx(expected, rel=1e-4)
    pixels = 255 * predictions["image"].detach().numpy()
    assert np.abs(views["image"]["reconstruction"] - pixels).max() <= 1.001
    assert pixels.max() > 2
    reward = agent.world_model.predict(torch.cat([h, z.flatten(2)], -1))[0]
    assert views["reward"]["reconstruction"] == pytest.approx(reward.detach().numpy(), abs=1e-4)


def test_the_latent_statistics_are_the_kl_and_the_probabilities_of_every_categorical(draws):
    draws()
    agent = make_agent()
    batch = make_batch(agent)
    rows = agent.prepare(batch)
    model = agent.world_model
    h, _, posterior = model.rssm.observe(
        model.encoder(rows), rows["action"], rows["is_first"], (rows["h"], rows["z"])
    )
    prior = model.rssm.prior(h)
    found = agent.latent_statistics(batch)
    assert {key: x.shape for key, x in found.items()} == {"kl": (B, T, 3), "probs": (B, T, 3, 5)}
    for b, t, i in np.ndindex(B, T, 3):
        p, q = (oracle.mixed(x[b, t, i].tolist(), 0.01) for x in (posterior, prior))
        assert found["probs"][b, t, i] == pytest.approx(p, rel=1e-4)
        assert found["kl"][b, t, i] == pytest.approx(oracle.kl(p, q), rel=1e-3, abs=1e-6)
    kl = model.loss(rows)[2]["kl"].item()
    assert found["kl"].sum(-1).mean() == pytest.approx(kl, rel=1e-4)


def test_a_dream_follows_the_actions_and_sees_nothing_after_its_context(draws):
    draws()
    agent = make_agent(CONTINUOUS)
    batch = make_batch(agent, length=6)
    imagined = lambda x: agent.dream(x, context=3)["position"]["imagination"]  # noqa: E731
    plain = imagined(batch)
    changed = copy.deepcopy(batch)
    changed["image"][:, 3:] = 255 - changed["image"][:, 3:]
    changed["position"][:, 3:] += 5
    assert np.array_equal(imagined(changed), plain)
    changed["position"][:, 2] += 5
    assert not np.array_equal(imagined(changed), plain)
    for k in range(6):
        changed = copy.deepcopy(batch)
        changed["action"][:, k] *= -1
        moved = (imagined(changed) != plain).any((0, 2)).tolist()
        assert moved == [t >= k for t in range(6)]


# --- saving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("action_space", [DISCRETE, CONTINUOUS])
def test_a_loaded_agent_makes_the_same_next_update(action_space):
    agent = make_agent(action_space, warmup=3)
    batch = make_batch(agent)
    for _ in range(2):
        agent.train_step(batch)
    file = io.BytesIO()
    torch.save(agent.state_dict(), file)
    file.seek(0)
    other = make_agent(action_space, seed=7, warmup=3)
    assert not same(snapshot(agent.modules), snapshot(other.modules))
    other.load_state_dict(torch.load(file, weights_only=True))
    assert same(snapshot(agent.modules), snapshot(other.modules))
    results = []
    for x in (agent, other):
        torch.manual_seed(8)
        results.append([x.train_step(batch)[0] for _ in range(2)][-1])
    assert same(snapshot(agent.modules), snapshot(other.modules))
    assert results[0] == results[1]


def test_a_saved_agent_holds_normaliser_slow_critic_and_optimiser():
    agent = make_agent()
    agent.train_step(make_batch(agent))
    state = agent.state_dict()
    names = set(state["modules"])
    assert {"normalizer.low", "normalizer.high"} <= names
    assert any(name.startswith("slow_critic.") for name in names)
    assert len(state["optimizer"]["state"]) == len(agent.parameters)


def test_an_agent_of_another_size_does_not_load():
    with pytest.raises(RuntimeError):
        make_agent().load_state_dict(make_agent(units=9).state_dict())


def test_a_saved_agent_that_lacks_a_part_does_not_load():
    agent = make_agent()
    state = agent.state_dict()
    del state["modules"]["normalizer.low"]
    with pytest.raises(RuntimeError, match="normalizer.low"):
        agent.load_state_dict(state)


def test_the_same_seed_gives_the_same_step():
    results = []
    for seed in (3, 3, 4):
        agent = make_agent()
        torch.manual_seed(seed)
        agent.train_step(make_batch(agent))
        results.append(snapshot(agent.modules))
    assert same(results[0], results[1]) and not same(results[0], results[2])
