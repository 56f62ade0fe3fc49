"""The benchmark of one update: what it prints, and what it refuses."""

import json

import pytest

from benchmarks import update

SMALL = ["size=tiny", "batch=2", "length=4", "horizon=3", "repeats=3", "agent.imagine_last=2"]


def line(capsys, *arguments: str) -> dict:
    assert update.measure([*SMALL, *arguments]) == 0
    (printed,) = capsys.readouterr().out.splitlines()
    return json.loads(printed)


@pytest.mark.parametrize("observation", ["vector", "image"])
def test_one_json_line_relates_the_median_to_the_matrix_product(capsys, observation):
    result = line(capsys, f"observation={observation}")
    assert result["min_ms"] <= result["median_ms"] <= result["max_ms"]
    floor = result["plain_flops"] / result["peak_flops"]
    assert result["floor_ratio"] == pytest.approx(result["median_ms"] / 1e3 / floor, rel=0.01)
    assert result["peak_memory_mib"] > 50
    assert result["observation"] == observation


def test_operations_grow_with_the_batch(capsys):
    one, two = (line(capsys, f"batch={n}")["plain_flops"] for n in (2, 4))
    assert two == 2 * one


def test_the_code_does_no_more_operations_than_published(monkeypatch, tmp_path):
    """The standard case, counted again. The published number stays when the code does less."""
    options, agent_options = update.parse([])
    agent, batch = update.build(options, agent_options)
    published = update.plain_flops(agent, batch, options, agent_options)
    monkeypatch.setattr(update, "FLOPS_FILE", tmp_path / "none.json")
    (tmp_path / "none.json").write_text("{}")
    counted = update.plain_flops(agent, batch, options, agent_options)
    assert 0.5 * published < counted <= published


@pytest.mark.parametrize(
    "argument", ["size=huge", "batch=two", "colour=red", "agent.colour=1", "observation=sound"]
)
def test_a_bad_option_is_one_line(capsys, monkeypatch, argument):
    monkeypatch.setattr("sys.argv", ["update", *SMALL, argument])
    with pytest.raises(SystemExit) as stop:
        update.command(update.measure)()
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.startswith("error: ") and error.count("\n") == 1
