"""What the reports say: numbers by hand, and nothing learned from what is held out."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from solutions.paper4_hdreamer.hidreamer import diagnostics
from solutions.paper4_hdreamer.hidreamer.diagnostics import (
    ahead,
    codes,
    correlation,
    drift,
    embeddings,
    evaluate,
    information,
    interval,
    longest,
    part,
    predictions,
    probe,
    rewards_of,
    sampled,
    scored,
    shared,
    shared_codes,
    shown,
    small_pixels,
    table,
    table_of_pairs,
)
from solutions.paper4_hdreamer.hidreamer.tokens import Windows
from tests.solutions.paper4.hidreamer.small import SMALL, agent_of, rows_of


def cells(text: str, name: str) -> list[str]:
    """The row of a table that begins with this name, without it."""
    lines = [x for x in text.splitlines() if x.startswith(f"| {name} |")]
    assert len(lines) == 1, text
    return [x.strip() for x in lines[0].strip("|").split("|")][1:]


def held_of(count: int, share: float = 0.25) -> np.ndarray:
    return np.arange(count) >= count * (1 - share)


# --- tables ---------------------------------------------------------------------------------------


def test_numbers_have_the_digits_that_are_worth_reading():
    found = [shown(x) for x in ("a", 1234, np.int64(7), 1.23456, -12.345, float("nan"), None)]
    assert found == ["a", "1,234", "7", "1.235", "-12.3", "", ""]
    assert table(["a", "b"], [["x", 1]]) == "\n| a | b |\n| --- | --- |\n| x | 1 |\n"


# --- probes ---------------------------------------------------------------------------------------


def problem(count=800, units=12):
    random = np.random.default_rng(0)
    x = random.normal(size=(count, units)) * random.uniform(0.1, 9, units) + 5
    y = np.stack([x @ random.normal(size=units), x[:, 3] - 2 * x[:, 5], np.ones(count)], 1)
    return x, y, held_of(count), random


def test_a_linear_target_is_read_and_permuted_labels_are_not():
    x, y, held, random = problem()
    found = probe(x, y, held)
    assert found[0] > 0.999 and found[1] > 0.999 and np.isnan(found[2])
    mixed = probe(x, y[random.permutation(len(y))], held)
    assert (np.abs(mixed[:2]) < 0.05).all()


def test_a_probe_is_measured_against_the_mean_of_what_is_held_out():
    """A target that is noise but for what one unit says: R² = 1 - noise / all, by hand."""
    random = np.random.default_rng(1)
    x = random.normal(size=(4000, 2))
    y = (3 * x[:, :1] + 2 * random.normal(size=(4000, 1))) - 7
    held = held_of(4000)
    found = probe(x, y, held)[0]
    rest = y[held] - (3 * x[held, :1] - 7)
    assert found == pytest.approx(1 - rest.var() / y[held].var(), abs=0.01)
    assert found == pytest.approx(9 / 13, abs=0.04)


def test_nothing_of_a_probe_is_fitted_on_held_out_rows(monkeypatch):
    """Standardisation and regression see the rows of training alone."""
    x, y, held, _ = problem(200)
    seen = []
    for kind in (StandardScaler, RidgeCV):

        def spy(self, x, y=None, *rest, fit=kind.fit, **more):
            seen.append((x.copy(), y))
            return fit(self, x, y, *rest, **more)

        monkeypatch.setattr(kind, "fit", spy)
    x[held] += 1e6
    probe(x, y, held)
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[0][0], x[~held])
    standard = (x[~held] - x[~held].mean(0)) / x[~held].std(0)
    np.testing.assert_allclose(seen[1][0], standard, atol=1e-9)
    np.testing.assert_array_equal(seen[1][1], y[~held][:, :2])


def test_poisoned_labels_of_held_out_rows_change_no_prediction(monkeypatch):
    x, y, held, _ = problem(200)
    guesses, predict = [], RidgeCV.predict
    monkeypatch.setattr(
        RidgeCV, "predict", lambda self, x: (guesses.append(predict(self, x)), guesses[-1])[1]
    )
    honest = probe(x, y, held)
    y[held, :2] = np.random.default_rng(1).normal(size=(held.sum(), 2)) * 100
    assert probe(x, y, held)[0] < 0.5 < honest[0]
    np.testing.assert_array_equal(guesses[0], guesses[1])


def test_targets_that_do_not_change_on_either_side_have_no_number():
    x, _, held, random = problem(100)
    y = random.normal(size=(100, 3))
    y[held, 0], y[~held, 1] = 4.0, 4.0
    assert np.isnan(probe(x, y, held)).tolist() == [True, True, False]


def test_the_largest_correlation_of_any_unit():
    x, y, *_ = problem(50)
    found = correlation(x, y[:, :2])
    for k in range(2):
        one = [abs(np.corrcoef(x[:, i], y[:, k])[0, 1]) for i in range(x.shape[1])]
        assert found[k] == pytest.approx(max(one), abs=1e-6)


def test_small_pixels_are_the_newest_picture_in_order():
    picture = np.zeros((3, 42, 42), np.uint8)
    picture[1, 0, 2:4], picture[1, 1, 2:4] = 255, 85  # one of 21 × 21 cells: 2 · (255 + 85) / 4
    found = small_pixels({"picture": picture}, np.array([2, 1]))
    assert found.shape == (2, 441) and not found[0].any()
    assert found[1, 1] == pytest.approx(170 / 255) and np.count_nonzero(found[1]) == 1
    small = small_pixels({"picture": picture[:, :8, :8]}, np.array([1]))
    assert small.shape == (1, 64) and small[0, 2] == 1.0


def test_a_sample_has_rows_of_both_kinds_in_order(monkeypatch):
    monkeypatch.setattr(diagnostics, "ROWS", 100)
    random = np.random.default_rng(0)
    assert sampled({}, np.zeros(100, bool), random).tolist() == list(range(100))
    held = held_of(1000, 0.02)
    index = sampled({}, held, random)
    assert (np.diff(index) > 0).all() and (~held[index]).sum() == 50 and held[index].sum() > 5


# --- codes and games ------------------------------------------------------------------------------


def test_information_of_a_table_by_hand():
    assert information(np.full((4, 2), 1 / 8)) == pytest.approx(0)
    assert information(np.eye(2) / 2) == pytest.approx(1)
    assert information(np.eye(3) / 3) == pytest.approx(math.log2(3))
    found = information(np.array([[0.5, 0.0], [0.25, 0.25], [0.0, 0.0]]))
    assert found == pytest.approx(0.5 * math.log2(4 / 3) + 0.25 * math.log2(2 / 3) + 0.25)


def test_codes_are_shared_where_every_game_has_a_tenth():
    joint = np.array([[5, 5, 5], [8.9, 1.1, 0], [8, 1, 1], [8.1, 0.95, 0.95], [0, 0, 0]]) / 100
    assert shared_codes(joint) == 2
    assert shared_codes(joint, 0.09) == 3


def test_games_weigh_alike_however_many_rows_they_have():
    """Code 0: all rows of the small game and a tenth of the large one's; code 2: the rest."""
    tokens = np.array([[0, 1]] * 10 + [[0, 1]] * 10 + [[2, 1]] * 90)
    game = np.array([0] * 10 + [1] * 100)
    text = shared(tokens, game, 2)
    joint = np.array([[1, 0.1], [0, 0.9]]) / 2
    bits, both, used = cells(text, "L0")
    assert float(bits) == pytest.approx(information(joint), abs=1e-3)
    assert (both, used) == ("0", "2"), "0.1 of 1.1 is less than a tenth"
    assert cells(text, "L1") == ["0.000", "1", "1"] and "at most 1.00 bits" in text


# --- the model ------------------------------------------------------------------------------------


def test_what_a_model_says_is_compared_with_what_comes_next():
    """Every guess again from the tokens before it alone: from A of the last step, L0, L1."""
    torch.manual_seed(0)
    agent = agent_of(layers=2)
    for head in agent.model.heads:
        torch.nn.init.normal_(head.weight)
    windows = Windows.of(agent.tokenise(rows_of()), 5)
    windows.rows["tokens"] = torch.randint(8, (35, 3))
    found = evaluate(agent, windows, 20)
    tokens, action = found["batch"]["tokens"], found["batch"]["action"]
    assert tokens.shape == (20, 5, 3)
    x, right = agent.model.embedding(tokens, action), torch.zeros(3)
    for t in range(1, 5):
        for level in range(3):
            last = agent.model(x[:, : 4 * t + level])[:, -1]
            guess = agent.model.heads[level](last).argmax(-1)
            right[level] += (guess == tokens[:, t, level]).sum()
    for level in range(3):
        assert found["levels"][level]["accuracy"] == pytest.approx(float(right[level]) / 80)
    with torch.no_grad():
        loss, parts = agent.model.loss(found["batch"])
    assert found["loss"] == pytest.approx(float(loss))
    assert found["bits"] == pytest.approx([float(parts[f"ce{i}"]) / math.log(2) for i in range(3)])
    again = evaluate(agent, windows, 20)
    assert torch.equal(again["batch"]["tokens"], tokens), "the same windows each time"


def test_the_longest_episode():
    done = np.zeros(12, bool)
    done[[2, 7, 11]] = True
    assert longest(done) == 5 and longest(done[:3]) == 3 and longest(done[3:]) == 5


def tokens_of(level, action, done, held=None) -> dict:
    level = np.asarray(level)
    count = len(level)
    return {
        "tokens": np.stack([level, level, level], 1), "action": np.asarray(action),
        "done": np.asarray(done, bool), "terminal": np.asarray(done, bool),
        "reward": np.zeros(count, np.float32), "game": np.zeros(count, int),
    }  # fmt: skip


def test_a_table_of_pairs_by_hand():
    """Training: (1, a0) → 2, 2, 3; (1, a1) → 1; (2, a0) never. The end of an episode is no pair."""
    train = ([1, 2, 1, 2, 1, 3, 1, 1, 5], [0, 1, 0, 1, 0, 1, 1, 2, 0])
    # Pairs of training (held out: the last 6): and 2 → 1, 3 → 1 with a1, 1 → 5 with a2.
    level = train[0] + [1, 2, 2, 1, 1, 1]
    action = train[1] + [0, 0, 1, 1, 0, 0]
    done = [0] * 8 + [1] + [0] * 5 + [1]
    held = np.arange(15) >= 9
    agent = SimpleNamespace(legal=np.ones(3), tier=SimpleNamespace(codes=6))
    # held out: 1 -a0→ 2 right; 2 -a0→ 2, never seen: itself, right; 2 -a1→ 1 right;
    # 1 -a1→ 1 right; 1 -a0→ 1, but the table says 2
    found = table_of_pairs(tokens_of(level, action, done), held, agent)
    assert found == pytest.approx([4 / 5, 3 / 5, 2 / 2, 2 / 3])


def counting(episodes: int = 4, length: int = 9):
    """L0 goes up by the action, from 0 to 7 and on from 0."""
    random = np.random.default_rng(0)
    level, action, done = [], [], []
    for _ in range(episodes):
        now = int(random.integers(8))
        for t in range(length):
            level.append(now)
            action.append(int(random.integers(3)))
            now = (now + action[-1]) % 8
            done.append(t == length - 1)
    return tokens_of(level, action, done)


@pytest.mark.parametrize("kind", ["copies", "knows", "late"])
def test_an_open_loop_is_compared_step_by_step(kind, monkeypatch):
    agent = agent_of(length=7, context=3, horizon=4)
    windows = Windows.of(counting(), 7)
    batch = windows.sample(128, torch.Generator().manual_seed(0))

    def dream(model, policy, tokens, actions, horizon, choose):
        assert torch.equal(tokens, batch["tokens"][:, :3]) and horizon == 4
        assert torch.equal(actions, batch["action"][:, :2])
        states = [tokens[:, -1]]
        for step in range(horizon):
            action = policy(states[-1])
            assert torch.equal(action, batch["action"][:, 2 + step]), "the real actions"
            if kind == "late" and step == 0:
                action = torch.zeros_like(action)
            change = 0 if kind == "copies" else action[:, None]
            states.append((states[-1] + change) % 8)
        return {"tokens": torch.stack(states, 1)}

    monkeypatch.setattr(diagnostics, "imagine", dream)
    text = ahead(agent, windows)
    last, real = batch["tokens"][:, 2, 0], batch["tokens"][:, 3:, 0]
    same = [f"{float((last == real[:, k]).double().mean()):.3f}" for k in range(4)]
    assert cells(text, "steps ahead") == ["1", "2", "3", "4"]
    assert cells(text, "the last one seen") == same and same[0] != same[3]
    found = cells(text, "L0, open loop")
    if kind == "copies":
        assert found == same
    elif kind == "knows":
        assert found == ["1.000"] * 4
    else:
        share = float((batch["action"][:, 2] == 0).double().mean())
        assert found == [f"{share:.3f}"] * 4


def test_there_is_no_open_loop_where_windows_are_all_context():
    agent = agent_of(length=6, context=6)
    assert ahead(agent, Windows.of(counting(), 6)) == ""


def test_an_open_loop_of_the_model_itself():
    agent = agent_of(length=7, context=3, horizon=4)
    with torch.no_grad():
        for head in agent.model.heads:
            head.weight.zero_()
            head.bias[5] = 9.0  # whatever comes: 5
    windows = Windows.of(counting(), 7)
    real = windows.sample(128, torch.Generator().manual_seed(0))["tokens"][:, 3:, 0]
    wanted = [f"{float((real[:, k] == 5).double().mean()):.3f}" for k in range(4)]
    assert cells(ahead(agent, windows), "L0, open loop") == wanted


def test_rewards_foretold_by_hand():
    real = torch.tensor([[0.0, 1.0, -1.0, 0.0], [1.0, 0.0, -1.0, 0.2]])
    said = torch.tensor([[0.1, 0.6, 0.9, -0.7], [0.4, 0.0, -3.0, 0.0]])
    text = rewards_of({"batch": {"reward": real}, "rewards": said})
    assert text == (
        "rewards: 4 came, 50% of them foretold; 4 foretold, 50% of them came\n"
    )  # right: 0.6 for 1 and -3 for -1; 0.9 for -1 has the wrong sign
    none = rewards_of({"batch": {"reward": real * 0}, "rewards": said * 0})
    assert none == "rewards: 0 came, 0% of them foretold; 0 foretold, 0% of them came\n"


def test_the_report_of_the_model_says_train_and_held_out():
    agent = agent_of(length=8, context=3, horizon=4)
    tokens, held = counting(10, 6), held_of(60, 0.2)  # episodes shorter than windows
    text = predictions(agent, tokens, held, agent.tier)
    train, out = (cells(text, name) for name in ("train", "held out"))
    assert train != out and len(train) == 7
    assert float(out[4]) == pytest.approx(sum(float(x) for x in out[1:4]), abs=0.1)
    copies = float(cells(text, "L0, held out")[1])
    level = tokens["tokens"][held, 0].reshape(2, 6)
    assert copies == pytest.approx((level[:, 1:] == level[:, :-1]).mean(), abs=0.1)
    assert len(cells(text, "L0, held out: table of pairs")) == 4
    assert cells(text, "steps ahead") == ["1", "2", "3"]


# --- embeddings and codebooks ---------------------------------------------------------------------


class Catcher:
    """As much of a game as the reports read."""

    def __init__(self, rows, factors):
        self.name, self.names = "catch", ["ego/one[0]", "world/two[0]"]
        self.found = rows | {"factors": factors}

    def rows(self):
        return self.found


def two_games():
    """Two games of five episodes; the factors of either are pixels of its own pictures."""
    rows = rows_of((40, 44, 48, 40, 30) * 2, [0] * 5 + [1] * 5)
    held = np.isin(rows["episode"], [4, 9])
    games = []
    for number in range(2):
        mine = part(rows, rows["game"] == number)
        games.append(Catcher(mine, mine["picture"][:, number, [2, 5]].astype(np.float32)))
    return rows, held, games


def test_probes_of_each_game_read_its_own_factors():
    rows, held, games = two_games()
    agent = agent_of()
    text = embeddings(agent, agent_of().encoder, rows, held, games)
    assert len(cells(text, "trained")) == 2
    pixels = [x for x in text.splitlines() if x.startswith("| raw pixels |")]
    assert len(pixels) == 2 and "| one[0] | two[0] |" in text
    for line in pixels:  # 64 pixels of noise, 172 rows: two of them are the factors
        assert all(float(x) > 0.9 for x in line.strip("|").split("|")[1:])
    permuted = [x for x in text.splitlines() if x.startswith("| trained, labels permuted |")]
    assert all(float(x) < 0.2 for line in permuted for x in line.strip("|").split("|")[1:])


def test_codebooks_are_described_on_both_kinds_of_rows():
    rows, held, games = two_games()
    agent = agent_of()
    z = agent.embed(rows)
    agent.start_tokenizer(z[~torch.as_tensor(held)])
    text = codes(agent, rows, held, games)
    tokens = agent.hrvq(z)[1].numpy()
    for level in range(3):
        lines = [x for x in text.splitlines() if x.startswith(f"| L{level} |")]
        found = lines[0].strip("|").split("|")
        for number, mask in enumerate((~held, held)):
            share = np.bincount(tokens[mask, level]) / mask.sum()
            share = share[share > 0]
            wanted = math.exp(-(share * np.log(share)).sum())
            assert float(found[1 + number]) == pytest.approx(wanted, abs=2e-3)
            assert int(found[3 + number]) == len(share)
            rest = z[mask] - agent.hrvq.decode(torch.as_tensor(tokens[mask][:, : level + 1]))
            middle = z[mask] - z[mask].mean(0)
            left = float(rest.square().sum() / middle.square().sum())
            assert float(found[5 + number]) == pytest.approx(left, abs=2e-3)
    assert "codes that all games share" in text and "L0 + L1 + L2" in text


# --- policy ---------------------------------------------------------------------------------------


def test_the_interval_of_a_constant_is_the_constant():
    assert interval(np.full(5, 3.0), np.random.default_rng(0)) == [3.0, 3.0]


def test_the_interval_of_a_mean_has_its_width():
    x = np.random.default_rng(1).normal(size=400)
    low, high = interval(x, np.random.default_rng(0))
    assert low < x.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.1)


def test_scores_stand_beside_random_play():
    text = scored("policy", {"policy": [1.0, 1.0], "random": [-1.0, 1.0]}, SMALL)
    assert cells(text, "policy") == ["1.000", "[1.00, 1.00]", "2"]
    assert cells(text, "random") == ["0.000", "[-1.00, 1.00]", "2"]
    assert "after policy, in the real game (catch):" in text and "sticky" not in text


def test_drift_compares_new_rows_with_old_and_with_held_out_ones():
    agent, rows = agent_of(), rows_of((9, 9, 9, 9, 9))
    held, new = rows["episode"] == 2, rows["episode"] >= 3
    rows["picture"][new] = rows["picture"][new] // 8  # what was never seen
    old = torch.as_tensor(~held & ~new)
    z = agent.embed(rows)
    agent.start_tokenizer(z[old])
    tokens = agent.tokenise(rows)
    text = drift(agent, rows, tokens, held, new, [1.0, -1.0, 1.0])
    assert text.startswith("score 0.33 (3 episodes), variance left by the codes ")
    left = []
    for mask in (new, old.numpy()):
        x = z[mask]
        rest = x - agent.hrvq.decode(agent.hrvq(x)[1])
        left.append(float(rest.square().sum() / (x - x.mean(0)).square().sum()))
    words = text.split("codes ")[1].split()
    assert float(words[0]) == pytest.approx(left[0], abs=1e-3)
    assert float(words[4]) == pytest.approx(left[1], abs=1e-3)
    losses = [
        evaluate(agent, Windows.of(part(tokens, mask), agent.tier.length))["loss"]
        for mask in (new, held)
    ]
    assert f"loss {losses[0]:.2f} on new rows, {losses[1]:.2f} on held-out ones" in text
