"""What is said of a trained run: numbers by hand, and no claim that chance explains."""

import json
import shutil
from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch

from dreamkit import UserError
from solutions.paper4_hdreamer.hidreamer import analyse, pages
from solutions.paper4_hdreamer.hidreamer.imagination import imagine
from solutions.paper4_hdreamer.hidreamer.tokens import Windows, split_by_episode
from solutions.paper4_hdreamer.hidreamer.train import Run
from tests.solutions.paper4.hidreamer.small import SMALL, agent_of, rows_of

TIER = replace(SMALL, rounds=1, round_steps=20)


def run_of(folder, until: str = "policy", seed: int = 0) -> Run:
    run = Run(folder, TIER, seed, "cpu")
    folder.mkdir(parents=True)
    run.go(until)
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run through all stages: the policy has played too."""
    return run_of(tmp_path_factory.mktemp("analyse") / "run", "online").folder


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run that has collected its rows, and no more."""
    return run_of(tmp_path_factory.mktemp("begun") / "run", "collect").folder


@pytest.fixture
def opened(folder, tmp_path):
    """The run, in a folder of its own."""
    copied = shutil.copytree(folder, tmp_path / "run")
    return analyse.open_run(copied, "cpu", "model")


def refused(*words) -> str:
    """The one line that a command ends with."""
    with pytest.raises(UserError) as found:
        analyse.command([str(x) for x in words])
    assert "\n" not in str(found.value)
    return str(found.value)


# --- commands -------------------------------------------------------------------------------------

COMMANDS = {
    "codes": ("", ["codes.json", "codes.md", "codes.png"]),
    "pictures": ("updates=2 count=3", ["pictures.json", "pictures.md", "pictures.png"]),
    "dreams": ("updates=2 count=2", ["dreams.json", "dreams.md", "dreams.png", "dreams.gif"]),
    "leak": ("updates=2 points=2 windows=8", ["leak.json", "leak.md", "leak.png"]),
}


@pytest.fixture(scope="module")
def outputs(folder, tmp_path_factory):
    """What each command has printed, and the reports of the run's folder."""
    copied, printed = shutil.copytree(folder, tmp_path_factory.mktemp("all") / "run"), {}
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    for name, (words, _) in COMMANDS.items():
        with pytest.MonkeyPatch.context() as patch:
            lines = printed.setdefault(name, [])
            patch.setattr("builtins.print", lambda *x, sep=" ", to=lines: to.append(
                sep.join(str(part) for part in x)
            ))  # fmt: skip
            assert analyse.command([name, str(copied), *words.split(), "device=cpu"]) == 0
    assert all(path.read_bytes() == content for path, content in before.items())
    return copied, printed


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_writes_the_files_that_it_prints(name, outputs):
    copied, printed = outputs
    page, files = printed[name]
    wanted = [str(copied / "analysis" / x) for x in COMMANDS[name][1]]
    assert sorted(files.split("\n")) == sorted(wanted)
    json_file, markdown = wanted[:2]
    with open(json_file) as file:
        assert isinstance(json.load(file), dict)
    with open(markdown, encoding="utf-8") as file:
        text = file.read()
    assert text.startswith(page) and text.endswith(f"![{name}]({name}.png)\n")
    heads = {"png": b"\x89PNG", "gif": b"GIF8"}
    for path in wanted[2:]:
        with open(path, "rb") as file:
            assert file.read(4) == heads[path[-3:]]


def report_of(outputs, name: str) -> dict:
    return json.loads((outputs[0] / "analysis" / f"{name}.json").read_text("utf-8"))


def test_reports_are_of_the_rows_that_they_name(outputs):
    """Codes and the leak: of random play alone. Pictures: held out."""
    run = analyse.open_run(outputs[0], "cpu", "model")
    rows, held = run.rows()
    assert run.first[0] < len(held), "the policy has played"
    assert report_of(outputs, "codes")["rows"] == run.first[0]
    assert report_of(outputs, "pictures")["rows"] == held.sum()
    leak = report_of(outputs, "leak")
    assert leak["episodes"] == len(np.unique(rows["episode"][held]))
    assert [(x["model"][:7], x["updates"], x["judged"][:3]) for x in leak["rows"]] == [
        *[("windows", n, kind) for n in (0, 1, 2) for kind in ("dea", "new")],
        *[("episode", n, "new") for n in (0, 1, 2)],
    ]
    first, other = leak["rows"][1], leak["rows"][6]
    assert first["loss"] == other["loss"], "both models begin alike"


def test_pages_begin_with_what_the_numbers_allow(outputs):
    leak = report_of(outputs, "leak")
    page = (outputs[0] / "analysis" / "leak.md").read_text("utf-8")
    assert page.startswith(f"# What is held out\n\n{leak['verdict']}\n")
    assert leak["verdict"] == analyse.verdict(leak["gap"])


def test_several_runs_have_folders_of_their_own(folder, tmp_path):
    words = ["codes", str(folder), str(folder), f"out={tmp_path}", "device=cpu"]
    assert analyse.command(words) == 0
    assert {x.name for x in tmp_path.iterdir()} == {"0-run", "1-run"}
    assert (tmp_path / "1-run" / "codes.png").exists()


def test_without_words_the_command_says_what_it_knows(capsys):
    assert analyse.command([]) == 2 and analyse.command(["codes", "--help"]) == 0
    assert capsys.readouterr().out.count("seeds      scores of several runs") == 2


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("code", "unknown command 'code': one of codes, pictures, dreams, leak, seeds"),
        ("codes", "codes needs a RUN"),
        ("codes run colour=red", "unknown option 'colour=red' of codes; there are out, seed, "),
        ("codes run updates=3", "unknown option 'updates=3' of codes"),
        ("leak run updates=many", "updates=many is not a number"),
        ("leak run updates=-1", "updates=-1 must be 0 or more"),
        ("leak run points=0", "points=0 must be 1 or more"),
        ("codes run seed=-1", "seed=-1 must be 0 or more"),
        ("codes nowhere", "nowhere is no run of train.py"),
        ("seeds nowhere", "nowhere is no run of train.py"),
    ],
)
def test_words_that_make_no_sense_are_one_line(words, line):
    assert line in refused(*words.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_before_the_stage_that_is_needed_is_one_line(name, begun):
    line, stage = refused(name, begun), "model" if name == "dreams" else "tokenizer"
    assert f"is not through with {stage} (it is at encoder)" in line
    assert line.endswith(f"until={stage}")
    assert not (begun / "analysis").exists()


def test_a_stage_that_has_begun_is_not_one_that_is_through(begun, tmp_path):
    run = Run(shutil.copytree(begun, tmp_path / "run"), TIER, 0, "cpu")
    run.load()
    run.go("encoder")
    assert "is not through with tokenizer (it is at tokenizer)" in refused("codes", run.folder)
    run.go("tokenizer")
    assert analyse.open_run(run.folder, "cpu", "tokenizer").stage == "model"
    assert "is not through with model" in refused("dreams", run.folder)


def test_scores_that_are_missing_or_damaged_are_one_line(begun, tmp_path):
    copied = shutil.copytree(begun, tmp_path / "run")
    assert "has no scores yet: go on with train.py … until=policy" in refused("seeds", copied)
    (copied / "scores.json").write_text("{")
    assert "scores.json cannot be read" in refused("seeds", copied)


def test_a_factor_that_is_not_there_is_one_line(folder, tmp_path):
    line = refused("codes", folder, "factor=colour", f"out={tmp_path}", "device=cpu")
    assert line.startswith("factor=colour: there are ") and "ball" in line


def test_a_damaged_decoder_is_one_line(opened):
    (opened.folder / "decoder.safetensors").write_bytes(b"nothing of the kind")
    line = refused("pictures", opened.folder, "device=cpu")
    assert "decoder.safetensors cannot be read" in line and line.endswith("remove it")


# --- codes ----------------------------------------------------------------------------------------


def test_a_code_that_is_the_factor_tells_its_entropy_and_a_constant_one_nothing():
    """Four values 16 times each: 2 bits, and Miller's (4 - 1) / 2N nats."""
    y = np.tile(np.arange(4), 16)
    tokens = np.stack([y[::-1], np.zeros_like(y), np.tile([0, 0, 1, 1], 16)], 1)
    rows = {"game": np.zeros(64, int), "episode": np.repeat(np.arange(8), 8)}
    factors = [{"world/place": y * 10.0 - 3, "world/wall": np.ones(64)}]
    report = analyse.code_report(tokens, rows, ["one"], factors)
    found = report["factors"]["one"]
    assert set(found) == {"world/place"}, "what never changes is not told"
    entropy = 2 + 3 / (2 * 64) / log(2)
    assert found["world/place"]["L0"][0] == pytest.approx(entropy)
    assert found["world/place"]["L1"] == pytest.approx([0, 0, entropy])
    # The half: of 1 bit, with (2 - 1 + 4 - 1 - (4 - 1)) / 2N nats.
    assert found["world/place"]["L2"][0] == pytest.approx(1 + 1 / (2 * 64) / log(2))
    assert report["use"]["L1"] == {"codes": 1, "perplexity": pytest.approx(1)}
    assert report["use"]["L0"] == {"codes": 4, "perplexity": pytest.approx(4)}
    assert report["game"] == {} and report["rows"] == 64


def test_what_is_the_same_in_all_episodes_is_floor():
    """A clock: shuffled episodes tell it as well."""
    y = np.tile(np.arange(4), 16)
    rows = {"game": np.zeros(64, int), "episode": np.repeat(np.arange(16), 4)}
    report = analyse.code_report(y[:, None], rows, ["one"], [{"clock": y}])
    bits, floor, _ = report["factors"]["one"]["clock"]["L0"]
    assert floor == pytest.approx(bits)


def test_games_weigh_alike_whatever_their_rows():
    """L0 is the game: 1 bit. L1 is always the same: 0. L2 splits one game in halves: 1/2 shared."""
    game = np.repeat([0, 1], [90, 10])
    tokens = np.stack([1 - game, 0 * game, np.where(game, 0, np.arange(100) % 2)], 1)
    rows = {"game": game, "episode": np.arange(100) // 10}
    found = analyse.code_report(tokens, rows, ["a", "b"], [{}, {}])["game"]
    assert found["L0"] == {"bits": pytest.approx(1), "shared": 0}
    assert found["L1"] == {"bits": pytest.approx(0, abs=1e-12), "shared": 1}
    # Code 0: 1/4 and 1/2 of the mass; code 1: 1/4 and none.
    bits = 0.25 * np.log2(0.25 / (0.75 * 0.5)) + 0.5 * np.log2(0.5 / (0.75 * 0.5)) + 0.25
    assert found["L2"] == {"bits": pytest.approx(bits), "shared": 1}


def test_shares_are_of_each_code_in_order_of_its_mean_class():
    code, classes = np.array([3, 3, 0, 0, 0, 0]), np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(analyse.shares(code, classes), [[1, 0], [0.25, 0.75]])


def test_the_factor_that_is_drawn():
    found = {"ego/a": {"L0": [0.2]}, "world/b": {"L0": [0.9]}}
    assert analyse.drawn_factor(found, "") == "world/b"
    assert analyse.drawn_factor(found, "a") == analyse.drawn_factor(found, "ego/a") == "ego/a"


# --- pictures -------------------------------------------------------------------------------------


def test_the_decoder_has_the_size_that_it_says():
    assert sum(x.numel() for x in analyse.Decoder(84).parameters()) == 1_279_137
    assert "1,279,137" in analyse.Decoder.__doc__


@pytest.mark.parametrize("size", [2, 5, 8, 11, 23, 24, 42, 63, 64, 84])
def test_it_draws_pictures_of_the_size_that_the_encoder_sees(size):
    z = torch.nn.functional.normalize(torch.randn(2, 3, 384), dim=-1)
    drawn = analyse.Decoder(size).draw(z)
    assert drawn.shape == (2, 3, size, size) and drawn.min() >= 0 and drawn.max() <= 1


def test_it_learns_pictures_that_the_vectors_tell_apart():
    random = np.random.default_rng(0)
    picture = random.integers(256, size=(4, 8, 8), dtype=np.uint8)
    z = torch.eye(384)[:4].requires_grad_()
    torch.manual_seed(0)
    decoder = analyse.Decoder(8)
    analyse.train_decoder(decoder, z, picture, 60)
    found = analyse.picture_report(picture, picture.mean(0) / 255, {"z": decoder.draw(z)})
    assert found["z"]["share"] < 0.1 and z.grad is None


def test_the_decoder_leaves_the_encoder_alone_is_kept_and_made_anew(opened, monkeypatch):
    trained, train = [], analyse.train_decoder

    def spy(decoder, z, picture, updates, seed):
        trained.append(picture)
        train(decoder, z, picture, updates, seed)

    monkeypatch.setattr(analyse, "train_decoder", spy)
    rows, held = opened.rows()
    encoder = opened.agent.encoder
    before = {key: x.clone() for key, x in encoder.state_dict().items()}
    torch.manual_seed(5)
    random = torch.get_rng_state()

    def made(updates=2, seed=0):
        return analyse.the_decoder(opened, rows, held, updates, seed).state_dict()

    first, again = made(), made()
    assert len(trained) == 1 and torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(x, again[key]) for key, x in first.items())
    assert all(torch.equal(x, before[key]) for key, x in encoder.state_dict().items())
    np.testing.assert_array_equal(trained[0], rows["picture"][~held])
    made(updates=3)
    made(updates=3, seed=1)
    assert len(trained) == 3, "it fits neither other updates nor another seed"
    with torch.no_grad():
        next(encoder.parameters()).mul_(1.01)
    made(updates=3, seed=1)
    assert len(trained) == 4, "the encoder has changed"
    made(updates=3, seed=1)
    assert len(trained) == 4


def test_errors_of_pictures_by_hand():
    """Half of two pictures is 255: 1/2 away from the mean; drawn black: 1 away where it is 255."""
    picture = np.array([[[255, 0]], [[0, 255]]], np.uint8)
    mean = np.full((1, 2), 0.5)
    found = analyse.picture_report(picture, mean, {"black": np.zeros((2, 1, 2))})
    assert found["black"] == {"error": 0.5, "share": 2.0}
    assert found["the mean picture"] == {"error": 0.25, "share": 1.0}


def test_rows_are_spread_over_the_games():
    game = np.repeat([0, 1], [50, 6])
    mask = np.arange(56) % 2 == 0
    found = analyse.spread(mask, game, 20, np.random.default_rng(0))
    assert mask[found].all() and (np.diff(found) > 0).all()
    np.testing.assert_array_equal(np.bincount(game[found]), [10, 3])


# --- dreams ---------------------------------------------------------------------------------------


def test_a_dream_goes_no_further_than_episodes_and_positions():
    """Episodes of 3, 7 and 2 rows; the model has SMALL.length = 6 positions, the context 2."""
    done = np.zeros(12, bool)
    done[[2, 9]] = True
    assert analyse.ahead(SMALL, done, 0) == SMALL.horizon == 3
    assert analyse.ahead(SMALL, done, 1) == 1
    assert analyse.ahead(SMALL, done, 99) == 6 - 2
    assert analyse.ahead(replace(SMALL, length=20), done, 99) == 7 - 2
    with pytest.raises(UserError, match="no held-out episode is longer than the 2 rows"):
        analyse.ahead(SMALL, done[:3][1:], 0)


@pytest.mark.parametrize(("length", "context", "horizon"), [(6, 2, 3), (6, 3, 3)])
def test_as_many_steps_as_are_allowed_can_be_dreamed(length, context, horizon):
    agent = agent_of(length=length, context=context, horizon=horizon)
    steps = analyse.ahead(agent.tier, np.arange(40) == 39, 99)
    shape = (5, context + steps)
    batch = {"tokens": torch.randint(8, (*shape, 3)), "action": torch.randint(3, shape)}
    first, again = (analyse.replayed(agent, batch, context, 4) for _ in range(2))
    assert first.shape == (5, 1 + steps, 3) and torch.equal(first, again)
    assert torch.equal(first[:, 0], batch["tokens"][:, context - 1])


def test_a_dream_takes_the_real_actions(monkeypatch):
    taken, agent = {}, agent_of()

    def spy(model, policy, tokens, actions, horizon, choose):
        def watched(state):
            taken.setdefault("then", []).append(policy(state))
            return taken["then"][-1]

        taken["before"] = actions
        return imagine(model, watched, tokens, actions, horizon, choose)

    monkeypatch.setattr(analyse, "imagine", spy)
    action = torch.arange(10).reshape(2, 5) % 3
    batch = {"tokens": torch.randint(8, (2, 5, 3)), "action": action}
    analyse.replayed(agent, batch, 2, 0)
    assert torch.equal(taken["before"], action[:, :1])
    assert torch.equal(torch.stack(taken["then"], 1), action[:, 1:4])


def test_errors_of_dreams_by_hand():
    """Two rows of context, two ahead; pixels 0, 1, 1, 0. The dream is right once, a still once."""
    real = np.array([0, 255, 255, 0], np.uint8).reshape(1, 4, 1, 1)
    tokens, dream = real / 255.0, np.array([9, 9, 0.5, 0.0]).reshape(1, 4, 1, 1)
    found = analyse.dream_report(real, tokens, dream, 2)
    assert found["errors"] == {
        "dreamed": [0.25, 0.0], "real tokens": [0.0, 0.0], "nothing changes": [0.0, 1.0]
    }  # fmt: skip
    assert (found["dreams"], found["context"]) == (1, 2)


# --- the leak -------------------------------------------------------------------------------------

CONSTANT = (np.ones(5), np.arange(5))
# The mean of five draws from 0, 0, 0, 0, 5 is how often the 5 comes: binomial, of 5 with 1/5.
# P(0) = 0.33 and P(3 or more) = 0.058 are more than 0.025, P(4 or more) = 0.007 is less: 95 % go
# from 0 to 3. 2000 draws have these shares to 0.005 (one standard deviation), and 0.002.
RARE = np.array([0.0, 0.0, 0.0, 0.0, 5.0])


@pytest.mark.parametrize(
    ("shift", "low", "begin"),
    [
        (1.0, 0.0, "No gap was found that chance does not explain"),
        (-0.5, -1.5, "No gap was found that chance does not explain"),
        (1.5, 0.5, "The leak flatters"),
        (-4.0, -5.0, "No leak shows, new episodes are even easier here"),
    ],
)
def test_a_claim_is_made_where_the_interval_does_not_hold_zero(shift, low, begin):
    found = analyse.gap(CONSTANT, (RARE + shift, np.arange(5)))
    assert found == {
        "dealt": 1.0, "new": 1 + shift, "gap": pytest.approx(shift), "low": pytest.approx(low),
        "high": pytest.approx(low + 3), "stretches": 5,
    }  # fmt: skip
    sentence = analyse.verdict(found)
    assert sentence.startswith(begin) and sentence.endswith(".") and sentence.count(": ") == 1
    assert f"(difference {shift:.2f} [{low:.2f}, {low + 3:.2f}])" in sentence


@pytest.mark.parametrize("few", [0, 1])
def test_few_stretches_are_too_few_for_a_claim(few):
    """A hundred windows that lie in four stretches are four, on either side."""
    sides = [(np.full(100, float(x)), np.arange(100) % (4 if x == few else 9)) for x in (0, 1)]
    found = analyse.gap(*sides)
    assert found["stretches"] == 4 and found["low"] == found["high"] == 1
    assert analyse.verdict(found).startswith("Too few held-out stretches for a claim (4): ")


def test_a_bootstrap_draws_whole_stretches():
    """One window of 0 and three of 4: both, either twice; their means 3, 0 and 4."""
    x, unit = np.array([4.0, 0.0, 4.0, 4.0]), np.array([1, 0, 1, 1])
    found = analyse.means(x, unit, np.random.default_rng(0), 4000)
    values, count = np.unique(found, return_counts=True)
    np.testing.assert_array_equal(values, [0, 3, 4])
    np.testing.assert_allclose(count / 4000, [0.25, 0.5, 0.25], atol=5 * 0.5 / 4000**0.5)


def test_stretches_are_of_one_episode_and_four_windows_long():
    """Windows of 3 rows; an episode of 30: 12, 12 and 4 starts; one of 5: its own."""
    done = np.isin(np.arange(35), [29, 34])
    rows = {"done": done, "terminal": done, "game": np.zeros(35, int)}
    windows = Windows.of(rows, 3)
    starts = windows.starts.numpy()
    found = analyse.stretch_of(windows, torch.arange(len(windows)))
    parts = {tuple(starts[found == number]) for number in np.unique(found)}
    assert parts == {
        tuple(range(6)), tuple(range(6, 18)), tuple(range(18, 28)), tuple(range(30, 33)),
    }  # fmt: skip


def test_losses_of_single_windows_are_those_of_the_model():
    agent = agent_of()
    rows = rows_of((20, 20))
    tokens = {key: rows[key] for key in ("action", "reward", "terminal", "done", "game")}
    tokens["tokens"] = np.random.default_rng(0).integers(8, size=(40, 3))
    windows = analyse.windows_of(tokens, np.ones(40, bool), SMALL)
    found, stretch = analyse.losses(agent, windows, 6, 3)
    numbers = torch.multinomial(windows.weight, 6, True, generator=torch.Generator().manual_seed(3))
    whole = agent.model.loss(windows.at(numbers))[0].item()
    assert found.mean() == pytest.approx(whole, rel=1e-5) and len(stretch) == 6
    assert len(np.unique(found)) == len(numbers.unique()) > 1


def walks(episodes: int, length: int, codes: int) -> dict:
    """Every episode has walks of its own: each level goes up or down by one, by a fair coin."""
    random = np.random.default_rng(0)
    steps = random.choice([-1, 1], size=(episodes, length, 3)).cumsum(1)
    tokens = (random.integers(codes, size=(episodes, 1, 3)) + steps) % codes
    count = episodes * length
    return {
        "tokens": tokens.reshape(-1, 3), "action": random.integers(3, size=count),
        "reward": np.zeros(count, np.float32), "terminal": np.zeros(count, bool),
        "done": np.arange(count) % length == length - 1, "game": np.zeros(count, int),
    }  # fmt: skip


def test_windows_that_cannot_be_dealt_out_are_one_line():
    tokens = walks(2, 8, 8)
    held = split_by_episode(tokens["done"])
    for length, line in ((9, "no episode has 9 rows"), (6, "3 windows are too few to deal out")):
        with pytest.raises(UserError, match=line):
            analyse.leaks(replace(SMALL, length=length), np.ones(3, bool), tokens, held, 1, 1, 8)


@pytest.mark.long
def test_what_is_dealt_out_at_random_flatters():
    """On a new episode no model foretells a fair coin: ln 2 a step of each level, and more for the
    first row of a window, which may be anywhere. On windows dealt out, learned by heart, it seems
    to."""
    codes, length = 32, 4
    tokens = walks(6, 80, codes)
    tier = replace(
        SMALL, codes=codes, width=64, heads=4, layers=2, length=length, dropout=0.0, bins=3,
        context=1, horizon=2, model_batch=32, model_lr=3e-3, warmup=20,
    )  # fmt: skip
    held = split_by_episode(tokens["done"], 0.34)
    assert held.sum() == 2 * 80
    found = analyse.leaks(tier, np.ones(3, bool), tokens, held, 250, 1, 128)
    first, best = (log(codes) + (length - 1) * log(2)) / length, log(2)
    least = best + 2 * first  # the first L0 of a window is not foretold
    seen = {(x["model"][:7], x["updates"], x["judged"][:3]): sum(x["ce"]) for x in found["rows"]}
    begin = seen["windows", 0, "dea"], seen["windows", 0, "new"]
    assert begin == pytest.approx([3 * log(codes)] * 2, rel=0.05), "nothing is known at first"
    assert seen["windows", 250, "dea"] < least < seen["windows", 250, "new"]
    assert seen["episode", 250, "new"] > least
    assert analyse.verdict(found["gap"]).startswith("The leak flatters: ")
    assert found["gap"]["low"] > best, "a whole coin"


# --- seeds ----------------------------------------------------------------------------------------


def scores_of(differences: list[float], stage: str = "policy") -> dict[int, dict]:
    """Random play has 1 and 3 + seed: the policy that much more, in another order."""
    return {
        seed: {stage: {"policy": [3 + seed + d, 1 + d], "random": [1, 3 + seed]}}
        for seed, d in enumerate(differences)
    }


@pytest.mark.parametrize(
    ("differences", "interval", "verdict"),
    [
        ([2.0], [2, 2, 2], "1 seed: too few for a claim"),
        ([2.0] * 4, [2, 2, 2], "4 seeds: too few for a claim"),
        ([2.0] * 5, [2, 2, 2], "better than random play by 2.00 [2.00, 2.00]"),
        ([-2.0] * 6, [-2, -2, -2], "worse than random play by 2.00 [2.00, 2.00]"),
        ([0.0] * 5, [0, 0, 0], "no difference from random play was found: 0.00 [0.00, 0.00]"),
        (RARE, [1, 0, 3], "no difference from random play was found: 1.00 [0.00, 3.00]"),
        (RARE + 0.5, [1.5, 0.5, 3.5], "better than random play by 1.50 [0.50, 3.50]"),
        (RARE - 4, [-3, -4, -1], "worse than random play by 3.00 [1.00, 4.00]"),
    ],
)
def test_what_seeds_say_together(differences, interval, verdict):
    found = analyse.seed_report(scores_of(list(differences)))
    assert set(found) == {"policy"}
    found = found["policy"]
    assert found["difference"] == pytest.approx(interval)
    assert found["verdict"] == verdict == analyse.claim(found["difference"], len(differences))
    for seed, d in enumerate(differences):
        assert found["seeds"][str(seed)] == pytest.approx([2 + seed / 2 + d, 2 + seed / 2, d])


def test_a_stage_counts_where_all_runs_have_it():
    one, other = scores_of([1.0])[0], scores_of([1.0], "online")[0]
    assert set(analyse.seed_report({0: one | other, 1: one})) == {"policy"}
    assert list(analyse.seed_report({0: one | other, 1: other | one})) == ["policy", "online"]
    with pytest.raises(UserError, match="no stage"):
        analyse.seed_report({0: one, 1: other})


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two runs of other seeds with scores; a third one, with another option."""
    place = tmp_path_factory.mktemp("seeds")
    for seed, found in scores_of([1.0, 2.0]).items():
        run = Run(place / f"seed{seed}", TIER, seed, "cpu")
        run.save()
        (run.folder / "scores.json").write_text(json.dumps(found), "utf-8")
    run = Run(place / "wide", replace(TIER, width=32), 2, "cpu")
    run.save()
    (run.folder / "scores.json").write_text(json.dumps(scores_of([1.0])[0]), "utf-8")
    return place


def test_seeds_of_two_runs(two, tmp_path, capsys):
    out = tmp_path / "new" / "catch"
    words = ["seeds", str(two / "seed1"), str(two / "seed0"), f"out={out}"]
    assert analyse.command(words) == 0
    printed = capsys.readouterr().out
    assert printed.endswith(f"{out}.json\n{out}.md\n")
    page = out.with_suffix(".md").read_text("utf-8")
    assert page in printed and "**2 seeds: too few for a claim**" in page
    assert "| 0 | 3.000 | 2.000 | 1.000 |" in page and "| 1 | 4.500 | 2.500 | 2.000 |" in page
    assert "| mean | 3.750 | 2.250 | 1.500 [1.000, 2.000] |" in page
    report = json.loads(out.with_suffix(".json").read_text("utf-8"))
    assert report["task"] == "catch" and report["options"]["width"] == TIER.width
    assert report["stages"]["policy"]["seeds"] == {"0": [3, 2, 1], "1": [4.5, 2.5, 2]}


def test_runs_that_do_not_belong_together_are_one_line(two):
    line = refused("seeds", two / "seed0", two / "wide")
    assert "was made with width=32" in line and f"width={TIER.width}" not in line
    assert f"with {TIER.width}: they cannot be put together" in line
    assert "a run of seed 0 already" in refused("seeds", two / "seed0", two / "seed0")


# --- pages ----------------------------------------------------------------------------------------


def test_a_page_of_codes_says_when_chance_tells_as_much():
    report = {
        "rows": 1234, "games": ["a", "b"], "use": {"L0": {"codes": 3, "perplexity": 2.5}},
        "game": {"L0": {"bits": 0.5, "shared": 2}},
        "factors": {"a": {"world/x": {"L0": [0.25, 0.125, 2.0]}}, "b": {}},
    }  # fmt: skip
    page = pages.codes_page(report)
    assert "1,234 rows of random play: a, b." in page and "| L0 | 3 | 2.500 |" in page
    assert "| L0 | 0.500 | 2 |\n\nAt most 1.00 bits." in page
    assert "| world/x | 2.000 | 0.250 (0.125) |" in page and "Factors of b" not in page
    assert "## The game" not in pages.codes_page(report | {"game": {}})


def test_a_film_has_a_frame_for_each_moment_and_orange_where_it_dreams(tmp_path):
    import imageio.v3 as iio

    views = {name: np.random.default_rng(0).random((2, 5, 8, 8)) for name in ("real", "dreamed")}
    frames = iio.imread(pages.film_dreams(tmp_path / "a.gif", views, 3), index=None)
    assert len(frames) == 5
    below = frames[:, -2, 1].astype(int)  # in the frame of the lowest picture
    np.testing.assert_allclose(below[:3], [[96] * 3] * 3, atol=8)
    np.testing.assert_allclose(below[3:], [[255, 140, 0]] * 2, atol=8)
