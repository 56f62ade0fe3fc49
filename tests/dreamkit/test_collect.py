"""Rows: what is stored of every step, in which order, with which flags."""

import sys
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dreamkit import UserError, agents, make
from dreamkit.collect import Collector, Slot, episode_seed, evaluate, row_fields
from dreamkit.replay import Replay


def collect(steps: int, count: int = 2, name: str = "Toy/Counter-v0", seed: int = 0, **options):
    """Rows of each environment after random one-hot actions: (collector, {number: rows})."""
    collector = Collector([make(name, **options) for _ in range(count)], seed)
    rows, random = defaultdict(list), np.random.default_rng(1)
    ended = []
    for _ in range(steps):
        actions = np.eye(3, dtype=np.float32)[random.integers(3, size=count)]
        latents = {"h": random.random((count, 2))}
        ended += collector.step(actions, latents, lambda n, row, h: rows[n].append(row | {"h": h}))
    return SimpleNamespace(collector=collector, rows=rows, ended=ended)


def episodes(rows: list[dict]) -> list[list[dict]]:
    """Complete episodes, cut where is_first says so."""
    starts = [i for i, row in enumerate(rows) if row["is_first"]] + [len(rows)]
    cut = [rows[a:b] for a, b in zip(starts, starts[1:], strict=False)]
    return [episode for episode in cut if episode[-1]["is_last"]]


def test_an_episode_of_n_steps_is_n_plus_one_rows_and_keeps_all_its_rewards():
    run = collect(steps=17, length=5)
    for rows in run.rows.values():
        assert [len(episode) for episode in episodes(rows)] == [6, 6, 6]
        for episode in episodes(rows):
            assert [row["reward"] for row in episode] == [0, 1, 2, 3, 4, 5]


def test_an_episode_of_one_step_is_two_rows():
    for episode in episodes(collect(steps=4, length=1).rows[0]):
        assert [row["is_first"] for row in episode] == [True, False]
        assert [row["is_last"] for row in episode] == [False, True]


def test_scores_and_lengths_of_ended_episodes_are_returned():
    assert collect(steps=11, count=2, length=5).ended == [(15, 5)] * 4


def test_only_the_last_row_is_last_and_only_the_first_row_is_first():
    for episode in episodes(collect(steps=25, length=4).rows[1]):
        assert [row["is_first"] for row in episode] == [True] + [False] * 4
        assert [row["is_last"] for row in episode] == [False] * 4 + [True]


@pytest.mark.parametrize("ending, terminal", [("terminated", True), ("truncated", False)])
def test_the_last_row_is_terminal_only_where_the_episode_terminated(ending, terminal):
    for episode in episodes(collect(steps=25, length=4, ending=ending).rows[0]):
        assert [row["is_terminal"] for row in episode] == [False] * 4 + [terminal]


def test_gymnasiums_own_time_limit_is_not_terminal():
    run = collect(steps=20, length=9, max_episode_steps=3)
    assert len(episodes(run.rows[0])) == 6
    assert not any(row["is_terminal"] for row in run.rows[0])


def test_dying_on_the_very_step_of_the_time_limit_is_terminal():
    run = collect(steps=20, length=3, max_episode_steps=3)
    assert all(episode[-1]["is_terminal"] for episode in episodes(run.rows[0]))


def test_the_first_row_of_every_episode_is_neutral():
    firsts = [episode[0] for episode in episodes(collect(steps=25, length=4).rows[0])]
    assert len(firsts) == 6
    for row in firsts:
        assert not row["action"].any() and row["action"].shape == (3,)
        assert row["reward"] == 0 and not row["is_last"] and not row["is_terminal"]


def test_the_stored_action_is_the_one_that_led_to_the_observation_beside_it():
    """The observation of this environment shows the last action, one-hot."""
    for rows in collect(steps=25, length=4).rows.values():
        for row in rows:
            np.testing.assert_array_equal(row["vector"][:3], row["action"])


def test_the_environment_gets_whole_numbers_and_the_rows_keep_one_hot_vectors():
    run = collect(steps=12, count=1, length=4)
    taken = run.collector.slots[0].env.unwrapped.taken
    assert all(type(action) is int for action in taken) and len(set(taken)) == 3
    stored = [row["action"] for row in run.rows[0] if not row["is_first"]]
    assert [set(action.tolist()) for action in stored] == [{0.0, 1.0}] * len(stored)
    assert [int(action.argmax()) for action in stored] == taken[: len(stored)]


def test_continuous_actions_are_stored_as_the_agent_gave_them():
    collector = Collector([make("Toy/Bounds-v0") for _ in range(1)], 0)
    rows, action = [], np.float32([[0.5, -0.25, 3]])
    for _ in range(2):
        collector.step(action, {}, lambda n, row, h: rows.append(row))
    np.testing.assert_array_equal(rows[1]["action"], action[0])
    np.testing.assert_array_equal(collector.slots[0].env.unwrapped.last, np.float32([1, 0.375, 3]))


def test_no_step_is_spent_on_a_reset():
    run = collect(steps=23, count=2, length=4)
    assert [len(slot.env.unwrapped.taken) for slot in run.collector.slots] == [23, 23]


def test_every_row_but_an_episodes_last_has_the_latents_of_its_own_step():
    random = np.random.default_rng(1)
    expected = []
    for _ in range(12):
        random.integers(3, size=2)
        expected.append(random.random((2, 2)))
    for number, rows in collect(steps=12, length=4).rows.items():
        latents = iter(expected)
        for row in rows:
            if row["is_last"]:
                assert row["h"] is None
            else:
                np.testing.assert_array_equal(row["h"]["h"], next(latents)[number])


def test_stored_rows_are_the_replays_rows():
    """A replay built from the environment's spaces takes a collector's rows as they come."""
    env = make("Toy/Counter-v0")
    fields = row_fields(env.observation_space.spaces, 3)
    assert fields["action"] == ((3,), "float32") and fields["vector"] == ((4,), "float32")
    replay = Replay(fields, {}, 1)
    for row in collect(steps=9, count=1, length=4).rows[0]:
        replay.add(0, row)
    batch = replay.sample(1, 6)  # the newest: rows 5 to 10 of 11
    assert batch["reward"].tolist() == [[0, 1, 2, 3, 4, 0]]
    assert batch["is_first"].tolist() == [[True, False, False, False, False, True]]
    assert batch["is_last"].tolist() == [[False, False, False, False, True, False]]


# --- seeds ----------------------------------------------------------------------------------------


def seeds(seed: int, count: int = 3) -> list[list[int]]:
    run = collect(steps=24, count=count, seed=seed, length=4)
    return [slot.env.unwrapped.seeds for slot in run.collector.slots]


def test_no_two_episodes_of_a_run_have_the_same_seed():
    every = sum(seeds(0), [])
    assert len(every) == 21 and len(set(every)) == 21


def test_seeds_are_the_same_again_in_the_same_run_and_others_in_another():
    assert seeds(5) == seeds(5)
    assert not set(sum(seeds(5), [])) & set(sum(seeds(6), []))


def test_an_environments_seeds_do_not_depend_on_how_many_there_are():
    assert seeds(5, count=2) == seeds(5, count=3)[:2]
    assert seeds(5)[1][2] == episode_seed(5, 1, 2)


# --- saving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cartpole", "cartpole_pixels", "pendulum", "Acrobot-v1"])
def test_a_collector_comes_back_to_the_same_place_and_goes_on_alike(name):
    size = {"pendulum": 1, "Acrobot-v1": 3}.get(name, 2)
    random = np.random.default_rng(0)

    def act(collector, steps, random):
        rows = []
        for _ in range(steps):
            actions = random.normal(size=(2, size)).astype(np.float32)
            collector.step(actions, {}, lambda n, row, h: rows.append((n, row)))
        return rows

    first = Collector([make(name) for _ in range(2)], 11)
    act(first, 25, random)
    state = first.save()
    expected = act(first, 25, np.random.default_rng(9))
    second = Collector([make(name) for _ in range(2)], 11)
    assert second.load(state) == []
    for (n, row), (m, other) in zip(
        expected, act(second, 25, np.random.default_rng(9)), strict=True
    ):
        assert n == m and row.keys() == other.keys()
        for key in row:
            np.testing.assert_array_equal(row[key], other[key])
    assert [slot.score for slot in first.slots] == [slot.score for slot in second.slots]


def test_an_environment_that_does_not_repeat_itself_begins_its_next_episode():
    run = collect(steps=6, name="Toy/Noisy-v0", length=4)
    again = Collector([make("Toy/Noisy-v0", length=4) for _ in range(2)], 0)
    assert again.load(run.collector.save()) == [0, 1]
    for old, new in zip(run.collector.slots, again.slots, strict=True):
        assert new.row["is_first"] and new.episode == old.episode + 1


# --- the policy's side ----------------------------------------------------------------------------


def dreamer(env, **options):
    module = agents.load("dreamerv3")
    small = dict(deter=16, hidden=8, stoch=4, classes=4, depth=2, units=8, blocks=4, bins=21)
    return module.Agent(
        env.observation_space.spaces, env.action_space, module.Config(**small | options)
    )


def test_an_agents_first_action_of_an_episode_forgets_the_one_before():
    env = make("Toy/Counter-v0")
    agent = dreamer(env)
    for parameter in agent.actor.parameters():
        torch.nn.init.normal_(parameter)  # the last layer begins at zero
    obs = {"vector": np.random.default_rng(0).random((6, 4)).astype(np.float32)}

    def act(state, first):
        torch.manual_seed(2)
        return agent.act(obs | {"is_first": np.full(6, first)}, state)

    fresh, _ = act(agent.initial_state(6), True)
    _, old = act(agent.initial_state(6), True)
    old = {key: x + 1 for key, x in old.items()}
    action, state = act(old, True)
    assert torch.equal(action, fresh)
    carried, carried_state = act(old, False)
    assert not torch.equal(carried_state["h"], state["h"])


class Scripted:
    """Plays class 1 always."""

    device = torch.device("cpu")

    def initial_state(self, batch_size):
        return None

    def act(self, obs, state, explore):
        assert not explore
        torch.rand(1)
        return torch.eye(3)[[1] * len(obs["is_first"])], None


def test_evaluation_plays_whole_episodes_and_steps_none_after_its_end():
    lengths = iter([3, 7, 5])
    result = evaluate(Scripted(), lambda: make("Toy/Counter-v0", length=next(lengths)), 3, 0)
    assert result["lengths"] == [3, 7, 5]
    assert result["scores"] == [6, 28, 15]


def test_evaluation_leaves_the_random_numbers_of_training_alone():
    torch.manual_seed(4)
    before = torch.get_rng_state()
    evaluate(Scripted(), lambda: make("Toy/Counter-v0"), 2, 123)
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_is_the_same_again_with_the_same_seed_alone():
    env = make("cartpole")
    agent = dreamer(env)
    one, two, three = (
        evaluate(agent, lambda: make("cartpole"), 4, seed)["scores"] for seed in (5, 5, 6)
    )
    assert one == two != three
    assert len(set(one)) > 1


def test_evaluation_films_as_many_episodes_as_asked():
    agent = dreamer(make("cartpole_pixels"))
    result = evaluate(agent, lambda: make("cartpole_pixels"), 3, 0, record=2)
    assert [len(frames) for frames in result["frames"]] == [n + 1 for n in result["lengths"][:2]]
    assert result["frames"][0][0].shape == (32, 32, 3)  # the observation, where nothing is drawn


def test_an_environment_that_draws_is_filmed_as_it_draws():
    pytest.importorskip("pygame", reason="CartPole draws with pygame: pip install pygame-ce")
    agent = dreamer(make("cartpole"))
    result = evaluate(agent, lambda: make("cartpole", draw=True), 1, 0, record=1)
    assert result["frames"][0][0].shape == (400, 600, 3)


def test_a_missing_drawing_library_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(UserError, match="pip install pygame-ce"):
        evaluate(dreamer(make("cartpole")), lambda: make("cartpole", draw=True), 1, 0, record=1)


def test_an_environment_that_draws_nothing_cannot_be_filmed():
    with pytest.raises(UserError, match="draws no picture"):
        evaluate(dreamer(make("pendulum")), lambda: make("pendulum"), 1, 0, record=1)


@pytest.mark.parametrize("picture", [True, False])
def test_a_foreign_environment_that_cannot_draw_is_filmed_by_what_it_observes(picture):
    """Its constructor knows no render_mode, which Gymnasium reports in many ways."""
    name = "Toy/Seen-v0" if picture else "Toy/Counter-v0"
    env = make(name)
    play = lambda: evaluate(dreamer(env), lambda: make(name, draw=True), 1, 0, record=1)  # noqa: E731
    if picture:
        assert play()["frames"][0][0].shape == (64, 64, 3)
    else:
        with pytest.raises(UserError, match="draws no picture"):
            play()


def test_a_slot_counts_the_score_of_the_running_episode():
    slot = Slot(make("Toy/Counter-v0"), 0, 0)
    slot.reset()
    for _ in range(3):
        slot.step(np.float32([0, 1, 0]))
    assert slot.score == 6 and len(slot.actions) == 3
    slot.reset()
    assert slot.score == 0 and slot.actions == []
