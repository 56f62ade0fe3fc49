"""The scaling benchmark: its cases, its table, and what it refuses."""

import json

import pytest

from benchmarks import scaling
from dreamkit import UserError


@pytest.fixture
def fake(monkeypatch):
    """Cases that cost 2 ms for each sequence, and nothing else."""

    def run(arguments):
        options = dict(item.split("=") for item in arguments)
        batch = int(options.get("batch", 16))
        return dict(
            agent="dreamerv3", batch=batch, length=64, median_ms=2.0 * batch, plain_flops=10**9,
            peak_flops=10**11, floor_ratio=2.0, parameters=10**6, peak_memory_mib=500.0,
        )  # fmt: skip

    monkeypatch.setattr(scaling, "run", run)


def test_one_thing_is_changed_at_a_time(fake, capsys, tmp_path):
    assert scaling.measure([f"out={tmp_path}", "sizes=tiny,1M"]) == 0
    printed = capsys.readouterr().out
    assert "batch=64" in printed and "128.0" in printed and "31.2" in printed  # ms, µs a row
    content = json.loads((tmp_path / "scaling.json").read_text())
    assert content["command"] == "python -m benchmarks.scaling sizes=tiny,1M"
    changed = [(row["changed"], row["value"]) for row in content["cases"]]
    assert ("batch", 64) in changed and ("horizon", 1) in changed and ("size", "1M") in changed
    assert (tmp_path / "scaling.png").stat().st_size > 10_000


def test_what_a_case_refuses_is_said_in_one_line():
    with pytest.raises(UserError, match="^unknown size 'huge'"):
        scaling.run(["size=huge"])
