"""One update of each stage: what it may see, what it changes, and by how much."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dreamkit.collect import to_environment
from solutions.paper4_hdreamer.hidreamer import stages
from solutions.paper4_hdreamer.hidreamer.data import Game, join, stack_at
from solutions.paper4_hdreamer.hidreamer.stages import (
    TIERS,
    HiDreamer,
    Tier,
    cosine,
    decayed,
    draw_pairs,
    follow,
)
from solutions.paper4_hdreamer.hidreamer.tokens import Windows, split_by_episode
from solutions.paper4_hdreamer.hidreamer.train import pairs_of
from tests.solutions.paper4.hidreamer.small import agent_of, rows_of


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def values(module) -> list[torch.Tensor]:
    return [x.clone() for x in module.state_dict().values()]


def same(module, before) -> bool:
    return all(torch.equal(x, y) for x, y in zip(values(module), before, strict=True))


def windows_of(agent, rows, length=None) -> Windows:
    return Windows.of(agent.tokenise(rows), length or agent.tier.length)


# --- pairs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_pairs_never_cross_an_end_and_never_touch_what_is_held_out(seed):
    random = np.random.default_rng(seed)
    done = random.random(random.integers(2, 60)) < random.choice([0.05, 0.3, 0.7])
    episode, held = np.cumsum(done) - done, split_by_episode(done, 0.3)
    wanted = [
        t for t in range(len(done) - 1)
        if episode[t] == episode[t + 1] and not held[t] and not held[t + 1]
    ]  # fmt: skip
    pairs = pairs_of(done, ~held)
    assert pairs.tolist() == wanted
    if not wanted:
        return
    batch = int(random.integers(1, 30))  # often more than there are
    drawn = draw_pairs(episode, pairs, batch, False, random)
    assert set(drawn) <= set(wanted) and len(set(drawn)) == len(drawn) == min(batch, len(wanted))
    drawn = draw_pairs(episode, pairs, batch, True, random)
    assert set(drawn) <= set(wanted) and len(set(episode[drawn])) == 1
    its = sum(episode[t] == episode[drawn[0]] for t in wanted)
    assert len(set(drawn)) == len(drawn) == min(batch, its)


def test_hard_batches_take_episodes_by_their_length():
    episode = np.repeat([0, 1], [2, 10])
    pairs, random = np.array([0, *range(2, 11)]), np.random.default_rng(0)
    first = [episode[draw_pairs(episode, pairs, 3, True, random)[0]] == 0 for _ in range(1000)]
    assert abs(sum(first) - 100) < 5 * math.sqrt(1000 * 0.1 * 0.9)


@pytest.mark.parametrize("hard", [0.0, 1.0])
def test_anchors_and_partners_are_neighbours(hard, monkeypatch):
    rows, agent, seen = rows_of(games=[0, 0, 1, 1, 1]), agent_of(hard=hard), []
    held = split_by_episode(rows["done"])
    stacks, candidates = agent.stacks, agent.candidates

    def spy(rows, index):
        seen.append(index)
        return stacks(rows, index)

    monkeypatch.setattr(agent, "stacks", spy)
    monkeypatch.setattr(agent, "candidates", lambda *x: (seen.append(x[2]), candidates(*x))[1])
    pairs = pairs_of(rows["done"], ~held)
    found = agent.update_encoder(rows, pairs, np.random.default_rng(0))
    anchor, partner, was_hard = seen
    np.testing.assert_array_equal(partner, anchor + 1)
    np.testing.assert_array_equal(rows["episode"][partner], rows["episode"][anchor])
    assert was_hard == bool(hard) and not held[partner].any()
    assert (len(set(rows["episode"][anchor])) == 1) == bool(hard)
    assert float(found["bound"]) == pytest.approx(math.log(len(anchor)) - float(found["loss"]))


@pytest.mark.parametrize("hard", [False, True])
def test_candidates_are_far_enough_or_of_another_episode(hard):
    rows = rows_of((4, 5), [0, 1])
    agent, index = agent_of(margin=2, hard_margin=4), np.arange(9)
    margin, found = (4 if hard else 2), agent.candidates(rows, index, hard)
    for i in index:
        for j in index:
            other = rows["episode"][i] != rows["episode"][j]
            assert found[i, j] == (i == j or other or abs(i - j) >= margin)


# --- embeddings and tokens ------------------------------------------------------------------------


def test_embeddings_of_some_rows_are_those_of_all():
    rows, agent = rows_of(), agent_of()
    everything, index = agent.embed(rows), np.array([0, 3, 8, 9, 34])
    assert everything.shape == (35, 384) and not everything.requires_grad
    stacks = torch.as_tensor(stack_at(rows["picture"], rows["episode"], np.arange(35)))
    torch.testing.assert_close(everything, agent.encoder(stacks).detach())
    torch.testing.assert_close(agent.embed(rows, index=index), everything[index])
    other = agent_of().encoder
    assert not torch.allclose(agent.embed(rows, other), everything)


def test_tokens_that_are_known_are_not_computed_again(monkeypatch):
    rows, agent = rows_of(), agent_of()
    everything = agent.tokenise(rows)
    assert set(everything) == {"action", "reward", "terminal", "done", "game", "tokens"}
    np.testing.assert_array_equal(everything["tokens"], agent.hrvq(agent.embed(rows))[1].numpy())
    known, embedded, embed = np.full((35, 3), 99), [], agent.embed
    known[12:21] = -1
    monkeypatch.setattr(
        agent, "embed", lambda rows, index: (embedded.append(index), embed(rows, index=index))[1]
    )
    found = agent.tokenise(rows, known)["tokens"]
    assert [x.tolist() for x in embedded] == [list(range(12, 21))]
    np.testing.assert_array_equal(found[12:21], everything["tokens"][12:21])
    assert (found[:12] == 99).all() and (found[21:] == 99).all() and (known[12:21] == -1).all()
    found = agent.tokenise(rows, found)["tokens"]
    assert len(embedded) == 1, "nothing is new"


def test_commitment_changes_nothing_where_vectors_are_frozen(monkeypatch):
    found = []
    for costs in ((0.05, 0.25, 0.6), (10.0, 0.0, 3.0)):
        monkeypatch.setattr(stages, "COMMITMENT", costs)
        torch.manual_seed(1)
        agent = agent_of()
        z = agent.embed(rows_of())
        agent.start_tokenizer(z)
        for _ in range(3):
            agent.update_tokenizer(z, 16)
        found.append(agent.hrvq)
    assert same(found[0], values(found[1]))


def test_commitment_moves_the_encoder_where_it_learns_too(monkeypatch):
    """The gradient is linear in the costs: without them it is that of the contrast alone."""
    rows = rows_of()
    pairs, found = pairs_of(rows["done"], np.ones(35, bool)), {}
    agent = agent_of()
    agent.start_tokenizer(agent.embed(rows))
    start = copy.deepcopy(agent.hrvq)
    monkeypatch.setattr(agent, "step", lambda module, loss: loss.backward())
    books = []
    for costs in ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (1.0, 2.0, 0.0)):
        monkeypatch.setattr(stages, "COMMITMENT", costs)
        agent.hrvq.load_state_dict(start.state_dict())
        agent.encoder.zero_grad()
        torch.manual_seed(3)  # for codes that are revived
        agent.update_joint(rows, pairs, np.random.default_rng(0))
        found[costs] = torch.cat([p.grad.flatten() for p in agent.encoder.parameters()]).clone()
        books.append(values(agent.hrvq))
    none, first, second, both = found.values()
    assert min((x - none).abs().max() for x in (first, second)) > 1e-6
    tolerance = 1e-5 * float(none.abs().max())
    torch.testing.assert_close(both - none, first + second - 2 * none, rtol=1e-3, atol=tolerance)
    assert all(torch.equal(x, y) for x, y in zip(books[0], books[-1], strict=True))


def test_features_are_the_codebooks_of_the_moment_they_were_taken():
    agent = agent_of()
    agent.start_tokenizer(agent.embed(rows_of()))
    assert not torch.equal(agent.features.codes[0], agent.hrvq.books[0].codes)
    agent.begin_policy()
    taken = torch.stack([book.codes for book in agent.hrvq.books])
    assert torch.equal(agent.features.codes, taken)
    agent.update_tokenizer(agent.embed(rows_of(seed=1)))
    assert torch.equal(agent.features.codes, taken)
    assert not torch.equal(agent.hrvq.books[0].codes, taken[0])


# --- optimisation ---------------------------------------------------------------------------------


def test_the_rate_goes_up_in_a_line_and_down_along_half_a_cosine():
    factors = [cosine(n, 12, 4, 0.1) for n in range(14)]
    assert factors[:5] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    assert factors[8] == pytest.approx(0.55)  # half of the way: the middle of 1 and 0.1
    assert factors[6] == pytest.approx(0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2)  # a quarter
    assert factors[12:] == pytest.approx([0.1, 0.1])
    assert [cosine(n, 0, 0, 0.1) for n in (0, 5, 10**6)] == [1, 1, 1]
    assert [cosine(n, 0, 2, 0.0) for n in (0, 1, 2, 99)] == [0.5, 1, 1, 1]
    assert cosine(3, 3, 5, 0.0) == pytest.approx(0.8), "fewer updates than those of the warm-up"


def test_every_update_has_the_rate_of_its_number():
    agent, rows = agent_of(model_lr=2e-3, warmup=2, encoder_lr=1e-2), rows_of()
    agent.begin("model", 6)
    windows, rates = windows_of(agent, rows), []
    for _ in range(6):
        rates.append(agent.optimizer.param_groups[0]["lr"])
        agent.update_model(windows)
    shares = [0.5, 1, 1, *((1 + math.cos(math.pi * n / 4)) / 2 for n in (1, 2, 3))]
    assert rates == pytest.approx([2e-3 * x for x in shares])
    agent.begin("encoder", 3)
    for _ in range(3):
        agent.update_encoder(rows, pairs_of(rows["done"], np.ones(35, bool)), np.random)
    assert agent.optimizer.param_groups[0]["lr"] == pytest.approx(1e-6)


def test_only_matrices_of_linear_layers_decay():
    model = agent_of(layers=2).model
    groups = decayed(model)
    names = {id(p): name for name, p in model.named_parameters()}
    decay, rest = ([names[id(p)] for p in group["params"]] for group in groups)
    assert sorted(decay + rest) == sorted(names.values())
    assert not [x for x in decay if x.endswith("bias") or "norm" in x or "embedding" in x]
    for name in rest:
        assert name.endswith("bias") or "norm" in name or name.startswith("embedding"), name
    assert len(decay) == 2 * 4 + 3 + 2  # qkv, out, two of feed; three heads; reward, continue
    agent = agent_of()
    agent.begin("model", 1)
    assert [group["weight_decay"] for group in agent.optimizer.param_groups] == [0.1, 0.0]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_gradients_longer_than_1_are_shortened_to_1(precision):
    agent = agent_of(precision=precision)
    agent.begin("model", 9)
    lengths = []
    agent.optimizer.register_step_pre_hook(
        lambda *_: lengths.append(
            math.sqrt(sum(float(p.grad.square().sum()) for p in agent.model.parameters()
                          if p.grad is not None))
        )
    )  # fmt: skip
    for factor in (1e3, 1e-3):
        agent.step(agent.model, factor * agent.model.heads[0].weight.sum())
    entries = agent.model.heads[0].weight.numel()
    assert lengths == pytest.approx([1.0, 1e-3 * math.sqrt(entries)], rel=1e-4)


def test_two_batches_of_an_update_are_one_of_twice_the_size(monkeypatch):
    torch.manual_seed(0)
    twice, once = agent_of(accumulate=2, dropout=0.0), agent_of(dropout=0.0)
    once.model.load_state_dict(twice.model.state_dict())
    batch = windows_of(once, rows_of()).sample(16, None)
    halves = iter([{k: x[:8] for k, x in batch.items()}, {k: x[8:] for k, x in batch.items()}])
    monkeypatch.setattr(twice, "batch", lambda *_: next(halves))
    monkeypatch.setattr(once, "batch", lambda *_: batch)
    for agent in (twice, once):
        monkeypatch.setattr(agent, "step", lambda module, loss: loss.backward())
        agent.update_model(None)
    pairs = list(zip(twice.model.parameters(), once.model.parameters(), strict=True))
    assert max(float(y.grad.abs().max()) for _, y in pairs if y.grad is not None) > 0.01
    for x, y in pairs:
        torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-6)


def test_there_is_dropout_in_an_update_of_the_model_and_nowhere_else(monkeypatch):
    agent, modes = agent_of(), []
    agent.begin("model", 1)
    loss = agent.model.loss
    monkeypatch.setattr(
        agent.model, "loss", lambda batch: (modes.append(agent.model.training), loss(batch))[1]
    )
    assert not agent.model.training
    agent.update_model(windows_of(agent, rows_of()))
    assert modes == [True] and not agent.model.training


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_runs_on_the_cpu_too(precision):
    agent, seen = agent_of(precision=precision, accumulate=2), []
    agent.begin("model", 20)
    agent.model.blocks[0].qkv.register_forward_hook(lambda *x: seen.append(x[2].dtype))
    before, windows = values(agent.model), windows_of(agent, rows_of())
    for _ in range(10):  # fp16: in the first ones gradients overflow, and the scale is halved
        metrics = agent.update_model(windows)
    assert set(seen) == {{"bf16": torch.bfloat16, "fp16": torch.float16}[precision]}
    assert all(x.isfinite() for x in metrics.values()) and not same(agent.model, before)
    assert {p.dtype for p in agent.model.parameters()} == {torch.float32}
    assert all(p.isfinite().all() for p in agent.model.parameters())


def test_an_update_without_a_step_does_not_count_for_the_rate():
    agent = agent_of(precision="fp16")
    agent.begin("model", 20)
    steps, finite = [], agent.model.heads[0].bias.sum()
    agent.optimizer.register_step_post_hook(lambda *_: steps.append(1))
    for loss in (float("inf") * finite, finite, float("nan") * finite, finite):
        agent.step(agent.model, loss)
    assert len(steps) == agent.schedule.last_epoch == 2


def test_auto_is_single_precision_on_the_cpu():
    assert agent_of(precision="auto").precision() == "fp32"


# --- sizes ----------------------------------------------------------------------------------------


def test_the_tier_full_has_the_sizes_that_the_pages_give():
    legal = np.zeros(18, bool)
    legal[[0, 1, 3, 4, 11, 12]] = True  # of Pong
    agent = HiDreamer(Tier(**TIERS["full"]), legal)
    assert count(agent.encoder) == 1_881_888
    ends = count(agent.model.reward) + count(agent.model.goes_on)
    assert (count(agent.model) - ends, ends) == (11_271_168, 98_560)
    assert (count(agent.actor), count(agent.critic)) == (858_374, 986_111)
    assert count(agent.hrvq) == 0 and agent.features.codes.numel() == 294_912
    assert agent.model.sizes.steps == 64


# --- policy ---------------------------------------------------------------------------------------


def test_the_policy_never_takes_an_illegal_action():
    legal = np.array([0, 1, 0, 0, 1, 1, 0], bool)
    agent = agent_of(legal=legal)
    with torch.no_grad():
        agent.actor.network[-1].weight.mul_(100)  # sure of itself: only the share is left
    tokens = torch.randint(8, (4000, 3))
    assert set(agent.choose(tokens).tolist()) == {1, 4, 5}
    pictures = np.random.default_rng(0).integers(256, size=(100, 4, 8, 8), dtype=np.uint8)
    assert {agent.act(x) for x in pictures} <= {1, 4, 5}
    dream = agent.dream(windows_of(agent, rows_of(), 2), 200)
    assert set(dream["action"].flatten().tolist()) <= {1, 4, 5}


def test_the_real_game_is_played_with_the_tokens_that_are_learned_from():
    agent, game, steps = agent_of(), Game({"name": "catch", "size": 8}, 0), []
    game.play(100)
    agent.start_tokenizer(agent.embed(join([game.rows()])))
    agent.begin_policy()
    game = Game({"name": "catch", "size": 8}, 1)

    def policy(pictures):
        torch.manual_seed(len(steps))
        steps.append(agent.act(pictures))
        return steps[-1]

    game.play(40, policy)
    rows = join([game.rows()])
    tokens = torch.as_tensor(agent.tokenise(rows)["tokens"])
    assert len(tokens.unique(dim=0)) > 3 and len(set(steps)) == 3
    for number, (token, action) in enumerate(zip(tokens, rows["action"], strict=True)):
        torch.manual_seed(number)
        assert int(agent.choose(token[None])[0]) == action == steps[number]
    assert to_environment(np.eye(3)[[2]], game.env.action_space) == [2]


def test_a_dream_goes_on_from_real_steps(monkeypatch):
    agent, rows = agent_of(), rows_of()
    known = agent.tokenise(rows)
    known["tokens"] = np.random.default_rng(0).integers(8, size=(35, 3))  # to tell rows apart
    contexts, given = Windows.of(known, 2), []
    imagine = stages.imagine

    def spy(model, policy, tokens, actions, *rest):
        given.append((tokens, actions))
        return imagine(model, policy, tokens, actions, *rest)

    monkeypatch.setattr(stages, "imagine", spy)
    dream = agent.dream(contexts, 5)
    tokens, actions = given[0]
    assert tokens.shape == (5, 2, 3) and actions.shape == (5, 1)
    assert torch.equal(dream["tokens"][:, 0], tokens[:, 1])
    real = {
        (*known["tokens"][t], *known["tokens"][t + 1], known["action"][t])
        for t in range(34) if rows["episode"][t] == rows["episode"][t + 1]
    }  # fmt: skip
    found = torch.cat([tokens.flatten(1), actions], 1)
    assert {tuple(x) for x in found.tolist()} <= real
    assert dream["tokens"].shape == (5, 4, 3) and dream["action"].shape == (5, 3)


def likely(head, logit: float = 8.0) -> None:
    """Make a two-hot head say about symexp(2), the bin after 0."""
    with torch.no_grad():
        list(head.parameters())[-1][11] = logit


@pytest.mark.parametrize("algorithm", ["reinforce", "ppo"])
def test_only_actor_and_critic_learn_from_dreams(algorithm):
    agent = agent_of(algorithm=algorithm)
    likely(agent.model.reward)
    before = {name: values(module) for name, module in agent.modules().items()}
    metrics = agent.update_policy(windows_of(agent, rows_of(), 2))
    changed = {name for name, x in agent.modules().items() if not same(x, before[name])}
    assert changed == {"actor", "critic", "slow", "normalizer"}
    assert all(math.isfinite(float(x)) for x in metrics.values())
    assert 0 < float(metrics["entropy"]) <= math.log(3) + 1e-6
    learned = {id(p) for group in agent.policy_optimizer.param_groups for p in group["params"]}
    wanted = {id(p) for module in (agent.actor, agent.critic) for p in module.parameters()}
    assert learned == wanted


def test_the_slow_critic_goes_a_fiftieth_of_the_way_and_has_no_gradient():
    agent = agent_of(policy_lr=0.01)
    contexts = windows_of(agent, rows_of(), 2)
    agent.update_policy(contexts)
    before = values(agent.slow)
    agent.update_policy(contexts)
    new = values(agent.critic)
    assert max(float((x - y).abs().max()) for x, y in zip(before, new, strict=True)) > 1e-3
    for old, fast, slow in zip(before, new, values(agent.slow), strict=True):
        torch.testing.assert_close(slow, 0.98 * old + 0.02 * fast, rtol=1e-5, atol=1e-7)
    assert all(not p.requires_grad and p.grad is None for p in agent.slow.parameters())
    one, other = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    for module, value in ((one, 1.0), (other, 5.0)):
        torch.nn.init.constant_(module.weight, value)
    follow(one, other, 0.25)
    assert one.weight.item() == 2.0 and other.weight.item() == 5.0


def data_of(agent, advantage=None):
    """What an update of actor and critic takes, in the order of its arguments."""
    tokens, action = torch.randint(8, (6, 3, 3)), torch.randint(3, (6, 3))
    state = agent.features(tokens)
    before = agent.log_prob(state, action)
    advantage = torch.randn(6, 3) if advantage is None else advantage
    return state, action, before, advantage, torch.rand(6, 3), torch.randn(6, 3), torch.randn(6, 3)


def gradients(agent, *data) -> list[torch.Tensor]:
    agent = copy.deepcopy(agent)
    agent.policy_optimizer.step = lambda: None
    agent.update_actor_critic(*data)
    return [p.grad for module in (agent.actor, agent.critic) for p in module.parameters()]


def test_the_first_step_of_ppo_is_that_of_reinforce():
    agent = agent_of()
    data = data_of(agent)
    plain = gradients(agent, *data)
    agent.tier = replace(agent.tier, algorithm="ppo")
    clipped = gradients(agent, *data)
    assert max(float(x.abs().max()) for x in plain) > 1e-3
    for x, y in zip(plain, clipped, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-7)


def test_the_slow_critic_pulls_at_the_fast_one():
    """Two targets: the gradient of the critic is that of the returns plus that of the slow one."""
    agent = agent_of()
    state, action, before, advantage, weight, returns, slow = data_of(agent)
    sizes = [len(list(agent.actor.parameters()))] * 2

    def critic(first, second):
        both = gradients(agent, state, action, before, advantage, weight, first, second)
        return torch.cat([x.flatten() for x in both[sizes[0] :]])

    both, only, other = critic(returns, slow), critic(returns, returns), critic(slow, slow)
    torch.testing.assert_close(both, (only + other) / 2, rtol=1e-4, atol=1e-7)
    assert not torch.allclose(both, only, atol=1e-4)


@pytest.mark.parametrize(("rate", "most"), [(1e-9, 16), (1.0, 15)])
def test_ppo_uses_dreams_four_times_or_until_the_policy_has_moved(rate, most, monkeypatch):
    agent, sizes = agent_of(algorithm="ppo", policy_lr=rate), []
    update = agent.update_actor_critic
    monkeypatch.setattr(
        agent, "update_actor_critic", lambda *x: (sizes.append(len(x[0])), update(*x))[1]
    )
    agent.update_policy(windows_of(agent, rows_of(), 2))
    assert set(sizes) == {2} and len(sizes) % 4 == 0
    assert len(sizes) == 16 if most == 16 else 4 <= len(sizes) < 16


def test_advantages_are_returns_above_the_value_by_their_scale(monkeypatch):
    agent, seen = agent_of(), []
    agent.normalizer.low.fill_(-3.0)
    agent.normalizer.high.fill_(5.0)
    likely(agent.critic, 2.0)
    with torch.no_grad():
        agent.critic.network[-1].weight[11].normal_()  # states differ
    likely(agent.model.reward, 6.0)
    agent.start_tokenizer(agent.embed(rows_of()))
    agent.begin_policy()
    monkeypatch.setattr(
        agent, "update_actor_critic", lambda *x: (seen.append(x), agent.actor(x[0]))[1]
    )
    agent.update_policy(windows_of(agent, rows_of(), 2))
    state, _, _, advantage, _, returns, slow = seen[0]
    value = agent.critic.mean(agent.critic(state))
    assert returns.min() > 3 and value.std() > 1e-3
    torch.testing.assert_close(advantage, (returns - value) / agent.normalizer.scale())
    assert 7 < float(agent.normalizer.scale()) < 9 and not slow.any(), "the slow one is still 0"


def test_the_same_seed_makes_the_same_dreams():
    agent = agent_of()
    contexts, found = windows_of(agent, rows_of(), 2), []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        found.append(agent.dream(contexts, 20))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
    assert not torch.equal(found[0]["tokens"], found[2]["tokens"])
