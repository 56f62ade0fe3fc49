"""The memory benchmark: what mapped rows save, and that saving them again writes new rows alone."""

import sys

import pytest

from benchmarks import replay
from dreamkit import UserError

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@LINUX
@pytest.mark.long
def test_rows_beyond_the_limit_are_not_in_memory_and_a_save_writes_the_new_ones_alone():
    options = ["task=cartpole_pixels", "train_ratio=0.1", "agent.batch_size=8"]
    within, beyond = replay.compare(0.005, 30_000, options)
    assert beyond["mapped"] and not within["mapped"]
    saved = within["peak"] - beyond["peak"]
    assert saved > 0.6 * within["size"], (within, beyond)
    for run in (within, beyond):
        rows = run["written"] - run["checkpoint"]
        assert rows < 2 * run["size"] * replay.AFTER / run["rows"], run


@LINUX
def test_what_the_run_refuses_is_one_line(capsys):
    with pytest.raises(UserError, match="unknown task 'nothing'"):
        replay.session(["task=nothing"], "", None)
