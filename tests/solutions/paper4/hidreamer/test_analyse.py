"""What is said of codes, pictures, dreams, leaks and seeds: by hand, and on a run that is tiny."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dreamkit import UserError
from solutions.paper4_hdreamer.hidreamer import analyse, pages, train
from solutions.paper4_hdreamer.hidreamer.analyse import Decoder
from solutions.paper4_hdreamer.hidreamer.encoder import EMBEDDING, Encoder
from solutions.paper4_hdreamer.hidreamer.stages import Tier
from solutions.paper4_hdreamer.hidreamer.tokens import Windows

TINY = [
    "steps=140", "encoder_updates=2", "encoder_batch=16", "epochs=1", "codes=8", "width=8",
    "layers=1", "heads=2", "model_updates=2", "model_batch=4", "policy_updates=1", "dreams=4",
    "units=8", "policy_units=8", "episodes=2", "rounds=0", "device=cpu",
]  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A run of Catch that went through all stages and learned nothing."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train.command([f"run={folder}", *TINY])
    return folder


# --- codes ----------------------------------------------------------------------------------------


def test_classes_weigh_alike_in_the_table_of_a_game():
    code, game = np.array([0, 0, 0, 2, 2, 2]), np.array([0, 0, 0, 0, 1, 1])
    wanted = [[3 / 8, 0], [0, 0], [1 / 8, 1 / 2]]  # 3 of 4 rows; 1 of 4 and 2 of 2
    np.testing.assert_allclose(analyse.balanced(code, game), wanted)
    alone = analyse.balanced(code, np.array([0, 0, 0, 2, 2, 2]))  # nothing is of class 1
    np.testing.assert_allclose(alone, [[1 / 2, 0], [0, 0], [0, 1 / 2]])


def test_codes_are_drawn_in_the_order_of_their_classes():
    code, classes = np.array([0, 0, 1, 3, 3, 3, 3]), np.array([1, 2, 2, 0, 0, 0, 1])
    wanted = [[3 / 4, 1 / 4, 0], [0, 1 / 2, 1 / 2], [0, 0, 1]]  # codes 3, 0, 1; 2 is not used
    np.testing.assert_allclose(analyse.shares(code, classes), wanted)


def test_a_code_that_is_the_factor_knows_all_of_it_and_another_one_no_more_than_chance():
    random = np.random.default_rng(0)
    episode, y = np.arange(2000) // 20, random.integers(4, size=2000)
    all_of_it, floor, has = analyse.known(y, y.astype(float), episode, random)
    assert all_of_it == pytest.approx(has, abs=1e-9)
    assert has == pytest.approx(2, abs=0.01)  # bits of four classes
    nothing, _, _ = analyse.known(random.integers(4, size=2000), y, episode, random)
    # in nats 2 N I is χ² of 9 degrees, whose deviation is √18; Miller-Madow takes its mean away
    assert abs(nothing) < 6 * np.sqrt(18) / 4000 / np.log(2) and abs(floor) < 0.01


def test_codes_of_two_games():
    rows = {"game": np.repeat([0, 1], 40), "episode": np.arange(80) // 8}
    coarse = rows["game"] * 2 + np.arange(80) % 2  # two codes for each game
    tokens = np.stack([coarse, np.arange(80) % 4, 0 * coarse], 1)
    factors = [{"still": np.ones(40)}, {"place": np.arange(40) % 2}]
    found = analyse.code_report(tokens, rows, ["a", "b"], factors)
    assert [x["bits"] for x in found["game"].values()] == pytest.approx([1, 0, 0], abs=1e-9)
    assert [x["shared"] for x in found["game"].values()] == [0, 4, 1]
    assert [x["codes"] for x in found["use"].values()] == [4, 4, 1]
    assert [x["perplexity"] for x in found["use"].values()] == pytest.approx([4, 4, 1])
    assert found["factors"]["a"] == {} and list(found["factors"]["b"]) == ["place"]
    page = pages.codes_page(found)
    assert "Factors of b" in page and "Factors of a" not in page and "At most 1.00 bits" in page


def test_the_factor_that_is_drawn():
    found = {"ego/x[0]": {"L0": [0.1]}, "world/ball[1]": {"L0": [0.4]}}
    assert analyse.drawn_factor(found, "") == "world/ball[1]"
    for name in ("x", "x[0]", "ego/x[0]"):
        assert analyse.drawn_factor(found, name) == "ego/x[0]"
    with pytest.raises(UserError, match="there are ego/x"):
        analyse.drawn_factor(found, "y")


# --- pictures -------------------------------------------------------------------------------------


def test_the_decoder_has_as_many_parameters_as_its_layers_by_hand():
    by_hand = 384 * 3136 + 3136 + (64 * 64 * 9 + 64) + (64 * 32 * 16 + 32) + (32 * 64 + 1)
    assert sum(x.numel() for x in Decoder(84).parameters()) == by_hand == 1_279_137


@pytest.mark.parametrize("size", [8, 10, 24, 32, 63, 64, 84, 96])
def test_the_decoder_draws_pictures_of_the_encoder_s_size(size):
    decoder, trunk = Decoder(size), Encoder(4, size, 1).trunk
    assert decoder(torch.zeros(2, EMBEDDING)).shape == (2, size, size)
    width = trunk(torch.zeros(1, 4, size, size)).shape[1]
    assert decoder.begin.out_features == width  # its mirror begins where the trunk ends


def test_the_decoder_learns_pictures_and_teaches_nothing():
    torch.manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(2, EMBEDDING), dim=-1).requires_grad_()
    picture = np.zeros((2, 8, 8), np.uint8)
    picture[0, 1, 2] = picture[1, 6, 5] = 255
    decoder = Decoder(8)
    analyse.train_decoder(decoder, z, picture, 60)
    drawn = decoder.draw(z)
    assert z.grad is None
    assert drawn.min() >= 0 and drawn.max() <= 1
    # to draw none of the two pixels is an error of 1 / 64
    assert analyse.squared_error(picture, drawn).max() < 0.1 / 64
    assert decoder.draw(z[None]).shape == (1, 2, 8, 8)


def test_errors_of_pictures_beside_the_mean_picture():
    picture = np.array([[[0, 255]], [[255, 255]]], np.uint8)
    mean = np.broadcast_to([[0.5, 1.0]], (2, 1, 2))
    views = {"same": picture / 255, "black": np.zeros((2, 1, 2))}
    found = analyse.picture_report(picture, mean, views)
    assert found["the game's mean picture"] == {"error": 1 / 8, "share": 1.0}
    assert found["same"] == {"error": 0.0, "share": 0.0}
    assert found["black"] == {"error": 3 / 4, "share": 6.0}


def test_every_game_has_its_mean_picture_and_as_many_rows():
    game, picture = np.array([0, 0, 1, 1, 1, 1]), np.arange(6, dtype=np.uint8)[:, None, None] * 51
    found = analyse.mean_pictures({"game": game, "picture": picture})
    np.testing.assert_allclose(found[:, 0, 0], [0.1, 0.7])  # of 0, .2 and of .4, .6, .8, 1
    rng, held = np.random.default_rng(0), np.array([1, 1, 1, 1, 1, 0], bool)
    found = analyse.spread(held, game, 4, rng)
    assert len(found) == 4 and (np.diff(found) > 0).all() and set(game[found]) == {0, 1}
    assert (game[found] == 0).sum() == 2 and 5 not in found
    assert list(analyse.spread(held, game, 100, rng)) == [0, 1, 2, 3, 4]


# --- dreams ---------------------------------------------------------------------------------------


def test_how_far_a_dream_goes():
    tier = Tier(context=2, horizon=4, length=8)
    done = np.zeros(20, bool)
    done[[2, 9]] = True  # episodes of 3, 7 and 10 rows; the last one goes on
    assert analyse.ahead(tier, done, 0) == 4
    assert analyse.ahead(tier, done, 3) == 3
    assert analyse.ahead(tier, done, 99) == 6  # the model has learned 8 positions
    assert analyse.ahead(tier, done[:10], 5) == 5 and analyse.ahead(tier, done[:9], 5) == 4
    with pytest.raises(UserError, match="longer than the 2 rows"):
        analyse.ahead(tier, np.array([0, 1, 0, 1], bool), 0)


def test_in_a_dream_the_real_actions_are_taken(monkeypatch):
    def imagine(model, policy, tokens, actions, horizon, choose):
        asked = torch.stack([policy(None) for _ in range(horizon)], 1)
        return {"tokens": (model, tokens, actions, asked)}

    monkeypatch.setattr(analyse, "imagine", imagine)
    batch = {"tokens": torch.arange(30).view(2, 5, 3), "action": torch.arange(10).view(2, 5)}
    agent = SimpleNamespace(device="cpu", model="model")
    _, tokens, before, asked = analyse.replayed(agent, batch, 2, 0)
    assert tokens.tolist() == batch["tokens"][:, :2].tolist() and before.tolist() == [[0], [5]]
    assert asked.tolist() == [[1, 2, 3], [6, 7, 8]]  # they lead to rows 2, 3, 4


def test_errors_of_dreams_step_by_step():
    real = np.array([0, 255, 255, 0], np.uint8).reshape(1, 4, 1, 1)
    tokens = np.array([0, 1, 1, 0.5]).reshape(1, 4, 1, 1)
    dream = np.array([0, 1, 0.5, 0]).reshape(1, 4, 1, 1)
    found = analyse.dream_report(real, tokens, dream, 2)
    wanted = {"dreamed": [0.25, 0], "real tokens": [0, 0.25], "nothing changes": [0, 1]}
    assert found == {"dreams": 1, "context": 2, "errors": wanted}


# --- the leak -------------------------------------------------------------------------------------


def test_windows_of_a_stretch_are_near_each_other_in_one_episode():
    done = np.zeros(40, bool)
    done[[29, 39]] = True
    rows = {"done": done, "terminal": done, "game": np.zeros(40, np.int64)}
    windows = Windows.of(rows, 2)
    assert analyse.STRETCH * windows.length == 8
    numbers = torch.tensor([0, 5, 6, 13, 28, 29, 37])
    assert windows.starts[numbers].tolist() == [0, 5, 6, 13, 28, 30, 38]
    found = analyse.stretch_of(windows, numbers)
    alike = found[:, None] == found[None]  # counted from the ends: 0…5, 6…13, …, 22…29; 30, 31
    place = np.array([0, 0, 1, 1, 3, 4, 5])
    assert (alike == (place[:, None] == place[None])).all() and set(found) == set(range(5 + 1)) - {
        5
    }


def test_a_bootstrap_draws_whole_stretches():
    random = np.random.default_rng(0)
    x, unit = np.array([1.0, 1, 1, 5]), np.array([0, 0, 0, 1])
    found, count = np.unique(analyse.means(x, unit, random, 4000), return_counts=True)
    assert found.tolist() == [
        1,
        2,
        5,
    ]  # both of one, one of each (8 of 4 windows), both of the other
    assert np.abs(count / 4000 - [0.25, 0.5, 0.25]).max() < 4 * np.sqrt(0.25 / 4000)


def test_a_gap_is_found_where_it_is():
    unit, noise = np.arange(60) // 2, np.random.default_rng(1).normal(size=60)
    dealt = (noise, unit)
    for shift, word in ((3.0, "flatters"), (0.0, "No gap"), (-3.0, "easier")):
        found = analyse.gap(dealt, (noise[::-1] + shift, unit))
        assert found["gap"] == pytest.approx(shift, abs=1e-9) and found["stretches"] == 30
        # of 30 stretches, each a mean of two: 1.96 · √(2 · var / 60), about 0.36
        assert 0.5 < (found["high"] - found["low"]) / found_width(noise) < 1.5
        assert word in analyse.verdict(found)
    small = analyse.gap((noise / 1000, unit), (noise / 1000 + 0.01, unit))
    assert small["low"] > 0 and analyse.verdict(small).startswith("No gap of more than 0.05 nats")
    few = analyse.gap(dealt, (noise[:8] + 3, np.arange(8) // 2))
    assert few["low"] > 0 and analyse.verdict(few).startswith("Too few held-out stretches")


def found_width(noise: np.ndarray) -> float:
    """95 % of the difference of two means of as many values."""
    return 2 * 1.96 * np.sqrt(2 * noise.var() / len(noise))


def toy(random, episodes: int, rows: int, known: bool) -> dict:
    """Tokens of episodes: at random, or each a count that goes on from anywhere."""
    shape = (episodes, rows, 3)
    tokens = random.integers(8, size=shape)
    if known:
        tokens = (tokens[:, :1, :1] + np.arange(rows)[:, None] + np.zeros(3, int)) % 8
    done = np.tile(np.arange(rows) == rows - 1, episodes)
    return {
        "tokens": tokens.reshape(-1, 3), "action": np.zeros(len(done), np.int64),
        "reward": np.zeros(len(done), np.float32), "terminal": np.zeros(len(done), bool),
        "done": done, "game": np.zeros(len(done), np.int64),
    }  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("known", [False, True])
def test_the_leak_shows_where_only_memory_helps_and_not_where_there_is_a_rule(known):
    tokens = toy(np.random.default_rng(0), 20, 24, known)
    held = np.arange(480) >= 360
    tier = Tier(codes=8, width=32, heads=2, layers=1, length=6, units=8, policy_units=8,
                model_batch=32, model_lr=3e-3, warmup=10, dropout=0.0, bins=5)  # fmt: skip
    found = analyse.leaks(tier, np.ones(2, bool), tokens, held, 500, 2)
    last = {x["judged"]: x for x in found["rows"] if x["updates"] == 500 and "dealt" in x["model"]}
    apart = last["new episodes"]["loss"] - last["dealt-out windows"]["loss"]
    chance = 1.6 * np.log(8)  # nats: what tokens at random cost, at best
    if known:
        assert abs(apart) < 0.1 * chance and "flatters" not in analyse.verdict(found["gap"])
    else:
        assert apart > 0.2 * chance and "flatters" in analyse.verdict(found["gap"])
        assert last["new episodes"]["loss"] > chance - 0.1
    assert [x["updates"] for x in found["rows"]] == [0, 0, 250, 250, 500, 500, 0, 250, 500]


# --- seeds ----------------------------------------------------------------------------------------


def scores_of(*differences: float) -> dict:
    return {i: {"policy": {"policy": [x, x + 2], "random": [1]}} for i, x in enumerate(differences)}


def test_means_and_difference_of_every_seed():
    found = analyse.seed_report(scores_of(2, 4))
    assert found["policy"]["seeds"] == {"0": [3, 1, 2], "1": [5, 1, 4]}
    assert found["policy"]["difference"] == [3, 2, 4]  # a quarter of the draws are 2, 2
    assert found["policy"]["verdict"] == "2 seeds: too few for a claim"


@pytest.mark.parametrize(
    "differences, word",
    [([3, 4, 3, 5, 4], "better than"), ([-3, -4, -3, -5, -4], "worse than"),
     ([3, -4, 3, -3, 1], "no difference"), ([3, 4, 3, 5], "4 seeds: too few")],
)  # fmt: skip
def test_what_seeds_allow_to_say(differences, word):
    assert word in analyse.seed_report(scores_of(*differences))["policy"]["verdict"]


def test_only_stages_that_all_seeds_have_are_put_together():
    scores = scores_of(1, 2)
    scores[0]["online"] = scores[0]["policy"]
    assert list(analyse.seed_report(scores)) == ["policy"]
    scores[1]["online"] = scores[0]["policy"]
    assert list(analyse.seed_report(scores)) == ["policy", "online"]
    with pytest.raises(UserError, match="no stage"):
        analyse.seed_report({0: {"policy": scores[0]["policy"]}, 1: {}})


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, says",
    [(["guess"], "unknown command"), (["codes"], "needs a RUN"),
     (["codes", "nowhere"], "no run of train.py"),
     (["codes", "nowhere", "steps=3"], "unknown option"),
     (["dreams", "nowhere", "steps=x"], "not a number"),
     (["leak", "nowhere", "points=0"], "must be 1 or more"), (["seeds", "nowhere"], "no run of")],
)  # fmt: skip
def test_a_command_that_cannot_be_is_refused(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says):
        analyse.command(words)


def test_a_stage_that_is_not_there_yet_is_asked_for(tmp_path):
    train.command([f"run={tmp_path}", *TINY, "until=collect"])
    for name in ("codes", "pictures", "leak"):
        with pytest.raises(UserError, match="not through with tokenizer .it is at encoder"):
            analyse.command([name, str(tmp_path), "device=cpu"])
    with pytest.raises(UserError, match="not through with model"):
        analyse.command(["dreams", str(tmp_path), "device=cpu"])
    with pytest.raises(UserError, match="no scores yet"):
        analyse.command(["seeds", str(tmp_path)])
    shutil.rmtree(tmp_path / "replay")
    with pytest.raises(UserError, match="cannot be read"):
        analyse.open_run(tmp_path, "cpu", "collect")


OPTIONS = {
    "codes": [], "pictures": ["updates=3"], "dreams": ["updates=3", "steps=2"],
    "leak": ["updates=2", "points=2", "windows=8"],
}  # fmt: skip


def test_every_command_writes_its_files(tiny, capsys, monkeypatch):
    for name, options in OPTIONS.items():
        assert analyse.command([name, str(tiny), "device=cpu", *options]) == 0
        said = capsys.readouterr().out
        if name == "pictures":  # dreams take the same decoder
            monkeypatch.setattr(analyse, "train_decoder", None)
        for end in ("json", "md", "png"):
            file = tiny / "analysis" / f"{name}.{end}"
            assert file.stat().st_size > 100 and str(file) in said
        page = (tiny / "analysis" / f"{name}.md").read_text("utf-8")
        assert f"![{name}]({name}.png)" in page and " nan" not in page
        assert json.loads((tiny / "analysis" / f"{name}.json").read_text("utf-8"))
    assert (tiny / "analysis" / "dreams.gif").stat().st_size > 100


def test_a_decoder_is_trained_again_where_another_is_asked_for(tiny, monkeypatch):
    trained = []
    monkeypatch.setattr(analyse, "train_decoder", lambda *x: trained.append(x[-2]))
    run = analyse.open_run(tiny, "cpu", "tokenizer")
    rows, held = run.rows()
    for updates in (11, 11, 12):
        analyse.the_decoder(run, rows, held, updates, 0)
    assert trained == [11, 12]
    with torch.no_grad():
        run.agent.encoder.head[0].bias += 1
    analyse.the_decoder(run, rows, held, 12, 0)
    assert trained == [11, 12, 12]
    (tiny / "decoder.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="remove it"):
        analyse.the_decoder(run, rows, held, 12, 0)
    (tiny / "decoder.safetensors").unlink()


def test_scores_of_several_runs_on_one_page(tiny, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    with pytest.raises(UserError, match="seed 0 already"):
        analyse.command(["seeds", str(tiny), str(other)])
    state = torch.load(other / "checkpoints" / "latest.pt", weights_only=True)
    torch.save(state | {"seed": 1}, other / "checkpoints" / "latest.pt")
    assert analyse.command(["seeds", str(tiny), str(other), f"out={tmp_path}/page"]) == 0
    page, found = (tmp_path / "page.md").read_text("utf-8"), tmp_path / "page.json"
    assert "**2 seeds: too few for a claim**" in page and "| mean |" in page
    assert set(json.loads(found.read_text("utf-8"))["stages"]) == {"policy", "online"}
    state["header"]["agent"]["rule"] = "strict"
    torch.save(state | {"seed": 1}, other / "checkpoints" / "latest.pt")
    with pytest.raises(UserError, match="made with rule=strict, .* with brief"):
        analyse.command(["seeds", str(tiny), str(other)])


def test_rows_of_random_play_are_the_first_of_each_game():
    run = SimpleNamespace(first=[2, 1])
    found = analyse.random_rows(run, np.array([0, 0, 0, 1, 1]))
    assert found.tolist() == [True, True, False, True, False]
