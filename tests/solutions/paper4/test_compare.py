"""The comparison of flat and hierarchical: its models, its statistics, its words, a whole run."""

import json
import time
from types import SimpleNamespace

import pytest

from dreamkit import UserError
from solutions.paper4_hdreamer import compare
from solutions.paper4_hdreamer.train import SIZES, Config

SPACES = {"image": SimpleNamespace(shape=(3, 16, 16))}, SimpleNamespace(n=5)


def test_the_matched_model_has_the_parameters_of_two_levels():
    flat, levels = (Config(**SIZES[name]) for name in ("tiny_dreamerv3", "tiny_hdreamer"))
    wanted = compare.parameters(levels, SPACES)
    width = compare.matched_width(flat, wanted, SPACES)
    counts = [
        compare.parameters(Config(**SIZES["tiny_dreamerv3"] | {"hidden": width + i}), SPACES)
        for i in (-1, 0, 1)
    ]
    assert compare.parameters(flat, SPACES) < 0.9 * wanted
    assert abs(counts[1] / wanted - 1) < 0.005
    assert abs(counts[1] - wanted) == min(abs(count - wanted) for count in counts)


def test_a_difference_is_found_where_there_is_one_and_else_not():
    middle, low, high = compare.difference([5.0, 6.0, 7.0, 6.5], [1.0, 2.0, 1.5, 2.5])
    assert middle == pytest.approx(4.375) and 0 < low < middle < high
    said = compare.sentence("Return", (middle, low, high), "flat", 5)
    assert said.startswith("Return: higher than flat, by 4.38 [")
    said = compare.sentence("Return", (middle, low, high), "flat", 4)
    assert said.startswith("Return: higher than flat in these 4 seeds, too few for a claim, by")
    same = compare.difference([1.0, 3.0], [2.0, 2.5])
    assert same[1] < 0 < same[2]
    assert "no difference was found" in compare.sentence("Return", same, "flat", 5)
    assert "lower than" in compare.sentence("Return", (-2.0, -3.0, -1.0), "flat", 5)


def model(returns: list[float], index: list[float], ms: float) -> dict:
    """What `measure` knows of a model."""
    runs = [
        {
            "return": score, "kl": 2.0, "loss/image": 3.0, "curve": [[0, 0, 0.0], [10, 5, score]],
            "probes": {
                "index": {"posterior above dealt": [f, f - 0.1, f + 0.1]},
                "r2": {"posterior": {
                    part: {"ego/place": [f + 0.5, 0, 1], "world/food": [0.25, 0, 1]}
                    for part in ("h", "top", "bottom")
                }},
            },
        }
        for score, f in zip(returns, index, strict=True)
    ]  # fmt: skip
    return {"parameters": 1000, "update_ms": ms, "reconstruction": ["loss/image"], "runs": runs}


def test_the_page_says_what_the_numbers_say():
    found = {
        "flat": model([1.0, 2.0, 1.5], [0.0, 0.01, -0.01], 100.0),
        "levels": model([1.2, 1.9, 1.4], [0.3, 0.35, 0.4], 120.0),
    }
    text = compare.page("a task", "task", "command", found, 500)
    assert "Return of two levels: no difference was found from `flat`" in text
    assert "1.20 times as long as `flat`'s" in text
    assert "Factorisation index of two levels (own state above, the world below): higher" in text
    assert "too few for a claim" in text
    assert "These are 3 seeds" in text and "500 steps, 3 seeds" in text
    assert "| parameters | 1,000 | 1,000 |" in text
    assert "| R² of a probe | ego/place | world/food |" in text
    assert "| `levels`: top | 0.85 | 0.25 |" in text  # the mean of .8, .85 and .9


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["models=flat,round"], "models are flat, levels, matched; not flat, round"),
        (["scale=huge"], "scale are tiny, large"),
        (["seeds=0"], "must be positive"),
        (["steps=many"], "steps=many is not a number"),
        (["agent.n_top=2"], "agent.n_top=2: that is for the comparison to decide"),
        (["size=tiny"], "size=tiny: that is for the comparison to decide"),
    ],
)
def test_what_the_command_refuses(arguments, line):
    with pytest.raises(UserError, match=line):
        compare.parse(arguments)


def test_where_one_run_fails_no_other_begins(monkeypatch, tmp_path):
    begun = []

    def fail(folder, command, cfg):
        begun.append(folder)
        time.sleep(0.02)
        raise UserError("it failed")

    monkeypatch.setattr(compare, "train_one", fail)
    given = [f"runs={tmp_path}", f"out={tmp_path}", "parallel=1", "seeds=50", "steps=100"]
    with pytest.raises(UserError, match="it failed"):
        compare.measure(given)
    assert len(begun) < 20


@pytest.mark.long
def test_a_comparison_from_beginning_to_end_and_again(tmp_path, capsys):
    small = ["preset=debug", "agent.deter=32", "agent.units=16", "eval_every=60"]
    given = [
        "steps=240", "seeds=1", "models=flat,levels", "episodes=6", "parallel=1", "envs=2",
        f"runs={tmp_path / 'runs'}", f"out={tmp_path / 'out'}", "eval_episodes=2", *small,
    ]  # fmt: skip
    assert compare.measure(given) == 0
    page = (tmp_path / "out" / "gridworld.md").read_text()
    assert "`flat`" in page and "Factorisation index" in page
    assert (tmp_path / "out" / "gridworld.png").stat().st_size > 10_000
    found = json.loads((tmp_path / "out" / "gridworld.json").read_text())["models"]
    assert found["levels"]["runs"][0]["kl_bottom"] >= 0
    runs = sorted((tmp_path / "runs").iterdir())
    stamps = [(run / "report.html").stat().st_mtime for run in runs]
    capsys.readouterr()
    assert compare.measure(given) == 0  # nothing is trained or probed again
    assert [(run / "report.html").stat().st_mtime for run in runs] == stamps
    assert "trained" not in capsys.readouterr().out
    with pytest.raises(UserError, match="was made with another agent: take another runs=FOLDER"):
        compare.measure([*given, "agent.free_nats_mode=sum"])
    kept = [x for x in given if not x.startswith("steps=")]
    assert compare.measure([*kept, "steps=300"]) == 0  # more steps: trained on, probed again
    out = capsys.readouterr().out
    assert out.count("trained ") == 2 and out.count("probed ") == 2
