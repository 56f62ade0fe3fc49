"""The staged command: what is held out stays held out, and a run that was stopped goes on."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dreamkit import UserError
from solutions.paper4_hdreamer.hidreamer import diagnostics, train
from solutions.paper4_hdreamer.hidreamer.data import Game
from solutions.paper4_hdreamer.hidreamer.stages import TIERS, Tier
from solutions.paper4_hdreamer.hidreamer.tokens import split_by_episode
from solutions.paper4_hdreamer.hidreamer.train import STAGES, Run, choices, options, parse, scores
from tests.solutions.paper4.hidreamer.small import SMALL

ROOT = Path(__file__).parents[4]
JOINT = replace(SMALL, joint_updates=2)


def run_in(folder: Path, tier: Tier = JOINT, seed: int = 0) -> Run:
    """As the command begins or goes on."""
    run = Run(folder, tier, seed, "cpu")
    folder.mkdir(parents=True, exist_ok=True)
    if run.path.exists():
        run.load()
    return run


def state_of(run: Run) -> dict[str, torch.Tensor]:
    """Everything that a run has made, as tensors by name."""
    found = {
        f"{name}.{key}": x.clone()
        for name, module in run.agent.modules().items()
        for key, x in module.state_dict().items()
    }
    rows, held = run.rows()
    found |= {f"rows.{key}": torch.as_tensor(x) for key, x in rows.items()}
    found |= {"held": torch.as_tensor(held), "tokens": torch.as_tensor(run.tokens)}
    found["random"] = torch.get_rng_state()
    found["numpy"] = torch.as_tensor(run.random.random(3))
    return found


def files_of(run: Run) -> tuple[str, dict]:
    report = (run.folder / "report.md").read_text("utf-8")
    return report, json.loads((run.folder / "scores.json").read_text("utf-8"))


def assert_equal(mine: tuple, other: tuple) -> None:
    """Of (state, files)."""
    (found, files), (wanted, others) = mine, other
    assert found.keys() == wanted.keys()
    assert not [key for key, x in found.items() if not torch.equal(x, wanted[key])]
    assert files == others


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run from its beginning to its end: (state, files)."""
    run = run_in(tmp_path_factory.mktemp("whole"))
    run.go("online")
    return state_of(run), files_of(run)


@pytest.fixture(scope="module")
def stops(tmp_path_factory):
    """The folders of a run that was stopped after each stage, as they were then; and its end."""
    folder, kept = tmp_path_factory.mktemp("stopped"), {}
    for stage in STAGES:
        run = run_in(folder / "run")
        run.go(stage)
        assert run.stage == (*STAGES, "done")[STAGES.index(stage) + 1] and run.done == 0
        kept[stage] = shutil.copytree(folder / "run", folder / stage)
    return kept, (state_of(run), files_of(run))


# --- going on -------------------------------------------------------------------------------------


def test_a_run_that_stops_after_every_stage_is_the_same_run(whole, stops):
    """The second run of a seed, too: tokens, losses, dreams and scores are those of the first."""
    assert_equal(stops[1], whole)


class Killed(Exception):
    pass


UPDATES = {
    "encoder": "update_encoder", "tokenizer": "update_tokenizer", "model": "update_model",
    "policy": "update_policy", "online": "update_policy",
}  # fmt: skip


@pytest.mark.parametrize("stage", UPDATES)
def test_a_run_that_is_killed_within_a_stage_is_the_same_run(
    stage, whole, stops, tmp_path, monkeypatch
):
    """A checkpoint after every update; then the third one of the stage never ends."""
    before = STAGES[STAGES.index(stage) - 1]
    folder = shutil.copytree(stops[0][before], tmp_path / "run")
    run = run_in(folder)
    update, calls = getattr(run.agent, UPDATES[stage]), []

    def once_too_often(*arguments):
        calls.append(1)
        found = update(*arguments)
        if len(calls) == 3:
            raise Killed
        return found

    monkeypatch.setattr(run.agent, UPDATES[stage], once_too_often)
    monkeypatch.setattr(train, "SAVE", -1.0)
    with pytest.raises(Killed):
        run.go("online")
    torch.manual_seed(99)
    monkeypatch.setattr(train, "SAVE", 60.0)
    run = run_in(folder)
    assert run.stage == stage and run.done == (1 if stage == "online" else 2)
    run.go("online")
    assert_equal((state_of(run), files_of(run)), whole)


def test_a_run_that_is_done_stays_as_it_is(whole, stops):
    run = run_in(stops[0]["online"])
    run.go("online")
    assert run.stage == "done"
    assert_equal((state_of(run), files_of(run)), whole)


def test_another_seed_is_another_run(whole, tmp_path):
    run = run_in(tmp_path, seed=1)
    run.go("collect")
    rows, _ = run.rows()
    count = min(len(rows["action"]), len(whole[0]["rows.action"]))
    assert (rows["action"][:count] != whole[0]["rows.action"][:count].numpy()).any()


@pytest.mark.parametrize(
    "changes", [{"rule": "strict"}, {"model_lr": 0.5}, {"steps": 151}, {"balanced": False}]
)
def test_a_run_with_another_option_is_refused_by_its_name(changes, stops):
    (key, value), tier = *changes.items(), replace(JOINT, **changes)
    with pytest.raises(UserError) as refused:
        run_in(stops[0]["collect"], tier)
    line = str(refused.value)
    assert "\n" not in line and f"{key}={getattr(JOINT, key)}, not {value}" in line


def test_a_run_with_another_seed_is_refused_too(stops):
    with pytest.raises(UserError, match="seed=0, not 3"):
        run_in(stops[0]["collect"], seed=3)


def test_the_report_says_everything_once(whole):
    report, found = whole[1]
    for stage in STAGES:
        assert report.count(f"## {stage}\n") == 1
    assert "round 1:" in report and "round 2:" in report and report.count("after online") == 1
    assert "| untrained |" in report and "table of pairs" in report and "steps ahead" in report
    assert set(found) == {"policy", "online"}
    for x in found.values():
        assert set(x) == {"policy", "random"} and {len(y) for y in x.values()} == {3}
    assert found["policy"]["random"] == found["online"]["random"]


def test_stages_without_updates_have_something_to_report(tmp_path):
    none = replace(SMALL, encoder_updates=0, model_updates=0, policy_updates=0, rounds=0)
    run = run_in(tmp_path, none)
    before = {key: x.clone() for key, x in run.agent.encoder.state_dict().items()}
    run.go("online")
    assert run.stage == "done"
    assert all(torch.equal(x, before[key]) for key, x in run.agent.encoder.state_dict().items())


def test_the_untrained_encoder_is_the_one_that_training_began_with(tmp_path):
    run = run_in(tmp_path)
    begin, random = run.agent.encoder.state_dict(), torch.get_rng_state()
    found = run.untrained().state_dict()
    assert all(torch.equal(x, found[key]) for key, x in begin.items())
    assert torch.equal(torch.get_rng_state(), random)


# --- rows -----------------------------------------------------------------------------------------


@pytest.fixture
def two_games(tmp_path, monkeypatch):
    """A run of two games through all stages; what each update was given is in `seen`."""
    run, seen = run_in(tmp_path, replace(JOINT, hard=0.5)), []
    run.games.append(Game({"name": "catch", "size": 8}, 7, tmp_path / "replay" / "other"))
    for name in ("update_encoder", "update_joint", "update_tokenizer", "update_model",
                 "update_policy", "start_tokenizer"):  # fmt: skip
        update = getattr(run.agent, name)

        def spy(*arguments, name=name, update=update):
            seen.append((name, arguments, run.rows()))
            return update(*arguments)

        monkeypatch.setattr(run.agent, name, spy)
    run.go("collect")
    held = run.rows()[1]
    run.go("online")
    return run, held, seen


def test_no_update_sees_what_is_held_out(two_games):
    run, first, seen = two_games
    assert {name for name, *_ in seen} == {
        "update_encoder", "update_joint", "update_tokenizer", "update_model", "update_policy",
        "start_tokenizer",
    }  # fmt: skip
    rows, held = run.rows()
    one = choices(run.games[0])
    assert run.first[1] == choices(run.games[1]) == len(held) - one and one > run.first[0]
    # The rows held out are those of random play alone, whatever has come since.
    np.testing.assert_array_equal(held[: run.first[0]], first[: run.first[0]])
    assert not held[run.first[0] : one].any()
    np.testing.assert_array_equal(held[one:], first[run.first[0] :])
    for game, begin in enumerate((0, run.first[0])):
        part = slice(begin, begin + run.first[game])
        done = run.games[game].rows()["done"][: run.first[game]]
        np.testing.assert_array_equal(first[part], split_by_episode(done))
    for name, arguments, (rows, held) in seen:
        if name in ("update_encoder", "update_joint"):
            pairs = arguments[1]
            assert len(pairs) and not held[pairs].any() and not held[pairs + 1].any()
            np.testing.assert_array_equal(rows["episode"][pairs], rows["episode"][pairs + 1])
        elif name in ("update_model", "update_policy"):
            given, wanted = arguments[0].rows, ~held
            if name == "update_policy":
                wanted = wanted & (rows["game"] == 0)
                assert not given["game"].any(), "contexts are of the game that is played"
            for key in ("action", "reward", "done", "game"):
                np.testing.assert_array_equal(given[key].numpy(), rows[key][wanted])
        else:
            assert len(arguments[0]) == (~held).sum()
    last = [arguments[0] for name, arguments, _ in seen if name == "update_model"][-1]
    assert len(last.rows["done"]) == (~held).sum() > (~first).sum(), "new rows are trained on"


def test_tokens_of_new_rows_stand_where_the_rows_do(two_games):
    run, _, seen = two_games
    rows, held = run.rows()
    again = run.agent.tokenise(rows)["tokens"]
    assert len(np.unique(again, axis=0)) > 8
    np.testing.assert_array_equal(run.tokens, again)
    given = [arguments[0].rows["tokens"] for name, arguments, _ in seen if name == "update_model"]
    np.testing.assert_array_equal(given[-1].numpy(), again[~held])


def test_codebooks_are_made_of_training_vectors(two_games):
    run, held, seen = two_games
    start, *_ = [x[0] for name, x, _ in seen if name == "start_tokenizer"]
    assert start.shape == ((~held).sum(), 384)


def test_an_online_round_embeds_new_rows_alone(stops, tmp_path, monkeypatch):
    run = run_in(shutil.copytree(stops[0]["policy"], tmp_path / "run"))
    monkeypatch.setattr(diagnostics, "drift", lambda *_: "")
    embedded, embed = [], run.agent.embed

    def watched(rows, encoder=None, index=None):
        embedded.append(index)
        return embed(rows, encoder, index)

    monkeypatch.setattr(run.agent, "embed", watched)
    begin = choices(run.games[0])
    run.go("online")
    assert len(embedded) == 2 and embedded[0][0] == begin
    np.testing.assert_array_equal(np.concatenate(embedded), np.arange(begin, len(run.tokens)))


def test_choices_are_counted_without_reading_them():
    game = Game({"name": "catch", "size": 8}, 0)
    assert choices(game) == 0
    game.play(20)
    assert choices(game) == len(game.rows()["done"]) == 21


def test_windows_that_nothing_fits_into_are_one_line(tmp_path):
    run = run_in(tmp_path)
    tokens = {"done": np.array([0, 0, 1], bool), "terminal": np.zeros(3, bool),
              "game": np.zeros(3, int)}  # fmt: skip
    for how in ({}, {"tails": True}):
        with pytest.raises(UserError, match="no episode has 4 rows"):
            run.windows(tokens, np.ones(3, bool), 4, **how)


def test_one_episode_is_too_few(tmp_path):
    with pytest.raises(UserError, match="catch: one episode is too few, take more steps="):
        run_in(tmp_path, replace(SMALL, steps=3)).go("collect")


# --- scores ---------------------------------------------------------------------------------------


def test_all_policies_and_random_play_are_scored_on_the_same_episodes(monkeypatch):
    begins = {}

    def policy_of(name, action):
        def policy(pictures):
            if (pictures == pictures[:1]).all():  # a stack of the first picture of an episode
                begins.setdefault(name, []).append(pictures[0].tobytes())
            return action

        return policy

    tier = replace(SMALL, episodes=6)
    left, right = (scores(tier, 4, policy_of(name, x)) for name, x in (("left", 0), ("right", 2)))
    assert begins["left"] == begins["right"] and len(set(begins["left"])) > 2
    assert left["random"] == right["random"] and len(left["policy"]) == 6
    play = Game.play

    def watched(self, steps, policy=None):
        found = play(self, steps, policy)
        first = self.rows()["picture"][-7]  # an episode of catch has 7 choices
        begins.setdefault("random" if policy is None else "policy", []).append(first.tobytes())
        return found

    monkeypatch.setattr(Game, "play", watched)
    scores(tier, 4, policy_of("again", 1))
    assert begins["random"] == begins["policy"] == begins["left"]
    training = Game(options(tier, "catch"), 4)
    begins.pop("random")
    for _ in range(6):
        training.play(1)
    assert begins["random"] != begins["left"], "not the episodes of training"


def test_a_policy_that_catches_every_ball_has_the_best_score():
    def follow(pictures):
        ball = pictures[-1][:-1].max(0).argmax()
        return 1 + int(np.sign(int(ball) - int(pictures[-1][-1].argmax())))

    found = scores(replace(SMALL, episodes=20), 0, follow)
    assert found["policy"] == [1.0] * 20 and np.mean(found["random"]) < 0


def test_actions_stick_only_where_that_is_asked_for():
    assert options(SMALL, "catch") == {"name": "catch", "size": 8}
    tier = replace(SMALL, sticky=0.0, size=84)
    assert options(tier, "atari_pong") == {"name": "atari_pong", "size": 84, "sticky": 0.0}


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("rulle=strict", "unknown option 'rulle=strict'; there are run, seed, tier, "),
        ("steps", "unknown option 'steps'"),
        ("steps=many", "steps=many must be a whole number"),
        ("steps=1.5", "steps=1.5 must be a whole number"),
        ("seed=x", "seed=x must be a whole number"),
        ("seed=-1", "seed=-1 must be 0 or more"),
        ("model_lr=fast", "model_lr=fast must be a number"),
        ("model_lr=nan", "model_lr=nan must be a number"),
        ("balanced=maybe", "balanced=maybe must be true or false"),
        ("tier=huge", "tier=huge: there are catch, tiny, small, full"),
        ("until=end", "until=end: there are collect, encoder"),
        ("rule=loose", "rule=loose: there are causal, brief, strict"),
        ("algorithm=dqn", "algorithm=dqn: there are"),
        ("precision=int8", "precision=int8: there are"),
        ("width=10 heads=4", "width=10 cannot be shared by heads=4"),
        ("heads=0", "heads=0 must be 1 or more"),
        ("accumulate=0", "accumulate=0 must be 1 or more"),
        ("length=1 horizon=1", "length=1 must be 2 or more"),
        ("size=1", "size=1 must be 2 or more"),
        ("context=3 horizon=4 length=6", "context=3 and horizon=4 are more than length=6"),
        ("bins=20", "bins=20 must be odd"),
        ("encoder_lr=0", "encoder_lr=0.0 must be more than 0"),
        ("hard=1.5", "hard=1.5 must be from 0 to 1"),
        ("sticky=2", "sticky=2.0 must be"),
        ("rounds=-1", "rounds=-1 must be 0 or more"),
        ("tasks=catch,catch", "one of them is there twice"),
    ],
)
def test_options_that_make_no_sense_are_one_line(arguments, line):
    with pytest.raises(UserError) as refused:
        parse(arguments.split())
    assert line in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("tasks", "line"),
    [
        ("catch,gridworld", "one model needs games of as many actions"),
        ("cartpole", "must have pictures and numbered actions"),
        ("pendulum", "must have pictures and numbered actions"),
        ("cetch", "unknown task 'cetch'"),
    ],
)
def test_tasks_that_do_not_fit_are_one_line(tasks, line, tmp_path):
    with pytest.raises(UserError, match=line):
        Run(tmp_path / "run", replace(SMALL, tasks=tasks), 0, "cpu")
    assert not (tmp_path / "run").exists()


def test_options_change_the_tier_that_was_named():
    words = "rule=strict seed=5 balanced=false model_lr=1e-5 rounds=0"
    given, tier = parse(["tier=tiny", *words.split()])
    assert given == {"run": "runs/hidreamer-tiny", "seed": 5, "tier": "tiny", "until": "online",
                     "device": "auto"}  # fmt: skip
    wanted = dict(rule="strict", balanced=False, model_lr=1e-5, rounds=0)
    assert tier == replace(Tier(), **(TIERS["tiny"] | wanted))
    assert parse([])[1] == Tier() and parse(["run=a=b"])[0]["run"] == "a=b"


@pytest.mark.parametrize("name", TIERS)
def test_every_tier_is_accepted(name):
    _, tier = parse([f"tier={name}"])
    for field in fields(Tier):
        assert type(getattr(tier, field.name)) is field.type


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    words = [sys.executable, "-m", "solutions.paper4_hdreamer.hidreamer.train", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environment)


def test_the_command_ends_with_one_line_where_it_cannot_start(tmp_path):
    done = command("rule=loose", "run=here", folder=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: rule=loose: there are causal, brief, strict\n"
    assert not list(tmp_path.iterdir())


def test_the_command_begins_and_goes_on(tmp_path, capsys):
    run = f"run={tmp_path}/here"
    words = [run, "steps=30", "device=cpu", "codes=8", "width=16", "layers=1", "until=collect"]
    assert train.command(words) == 0
    assert "here/report.md" in capsys.readouterr().out
    assert (tmp_path / "here/report.md").read_text("utf-8").startswith("# Hi-Dreamer: catch")
    assert train.command(words) == 0
    assert "going on with encoder" in capsys.readouterr().out
    with pytest.raises(UserError, match="rule=brief, not strict"):
        train.command([*words, "rule=strict"])
