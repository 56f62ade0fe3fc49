"""The summary of a learning run."""

from benchmarks import learn


def row(step: int, value: float) -> dict:
    return {"step": step, "seconds": step / 10, "return": value}


def test_a_run_is_solved_at_its_first_evaluation_at_the_goal():
    rows = [row(500, 20.0), row(750, 480.0), row(1000, 300.0), row(1250, 500.0)]
    summary = learn.summarise(rows, 470.04, goal=475)
    assert (summary["solved"], summary["steps"], summary["seconds"]) == (True, 750, 75.0)
    assert (summary["best"], summary["fresh_100_episodes"]) == (500.0, 470.0)
    assert summary["curve"][2] == [1000, 100.0, 300.0]


def test_a_run_below_the_goal_is_not_solved():
    summary = learn.summarise([row(500, 474.9)], 0.0, goal=475)
    assert (summary["solved"], summary["steps"]) == (False, None)


def test_every_agent_writes_files_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(learn, "train_seed", lambda *_: None)
    monkeypatch.setattr(learn, "play_again", lambda _: 1.0)
    monkeypatch.setattr(learn, "read_jsonl", lambda *_: [row(500, -150.0)])
    for agent in ("dreamerv1", "dreamerv3"):
        learn.measure(["task=pendulum", "seeds=1", f"out={tmp_path}", f"agent={agent}"])
    names = {path.name for path in tmp_path.iterdir()}
    files = {"pendulum.json", "pendulum.png"}
    assert names == files | {f"dreamerv1-{name}" for name in files}
