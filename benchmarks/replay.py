"""Memory of a run whose rows exceed what it may keep, and the cost of saving and continuing it.

    python -m benchmarks.replay [memory=0.1] [steps=100000] [task=atari_pong] [key=value ...]

The same run twice, with all of its rows in memory and with replay_memory=0.1 (GiB): random
actions, world model at size=tiny, one replayed row for two collected ones. Then each is continued
for 1,000 steps. Every run is a process of its own. Linux alone: it reads /proc.

rows       that the run has in the end, and what they take
memory     the most that the process owned at a time. Pages of mapped files do not count: the
           system takes them back whenever it wants to
save       after the 1,000 steps: time, bytes written but the checkpoint's, and the checkpoint's
resume     seconds until a continued run could act, and the memory it owned then
"""

import multiprocessing
import tempfile
import threading
import time
from pathlib import Path

import torch

from dreamkit import UserError, make
from dreamkit.cli import command
from dreamkit.config import resolve
from dreamkit.envs import make_many
from dreamkit.replay import GIB, amount
from dreamkit.trainer import Trainer

AFTER = 1000  # steps of the continued run


def owned() -> int:
    """Bytes of this process that are in no file (RssAnon of proc(5))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise UserError("this benchmark needs Linux: there is no RssAnon in /proc/self/status")


class Peak:
    """The largest `owned` since it was made, asked for a hundred times a second."""

    def __init__(self):
        self.value = owned()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.value = max(self.value, owned())
            time.sleep(0.01)


def session(options: list[str], folder: str, result) -> None:
    """Train up to the steps that the options say, in this process; send what it took."""
    torch.set_num_threads(1)
    cfg = resolve(options)
    task, peak = cfg["task"], Peak()
    run = Trainer(cfg, Path(folder), lambda: make(**task), lambda n: make_many(n, **task))
    latest, found = Path(folder) / "checkpoints" / "latest.pt", {}
    if latest.exists():
        start = time.perf_counter()
        run.load(latest)
        found |= {"resume": time.perf_counter() - start, "resumed": owned()}
    while run.step < cfg["steps"]:
        run.iterate()
    before, start = written(), time.perf_counter()
    run.save()
    found |= {"save": time.perf_counter() - start, "written": written() - before}
    run.player.close()
    size = len(run.replay) * run.replay.row.itemsize
    result.send(
        found | {"peak": peak.value, "rows": len(run.replay), "size": size}
        | {"checkpoint": latest.stat().st_size, "mapped": run.replay.mapped}
    )  # fmt: skip


def written() -> int:
    """Bytes that this process has written so far (wchar of proc(5))."""
    return int(Path("/proc/self/io").read_text().split("wchar: ")[1].split()[0])


def in_own_process(options: list[str], folder: str) -> dict:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=session, args=(options, folder, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise UserError("the run failed: its message stands above") from None
    finally:
        process.join()


def compare(memory: float, steps: int, options: list[str]) -> list[dict]:
    """All rows in memory, then at most `memory` GiB of them; each run and its continuation."""
    fixed = ["mode=bootstrap", "train_ratio=0.5", "save_every=0", "device=cpu", *options]
    found = []
    for limit in (1000.0, memory):
        with tempfile.TemporaryDirectory() as folder:
            given = [*fixed, f"replay_memory={limit}"]
            first = in_own_process([*given, f"steps={steps}"], folder)
            again = in_own_process([*given, f"steps={steps + AFTER}"], folder)
        keys = ("resume", "resumed", "save", "written", "rows", "size", "checkpoint", "mapped")
        peak = max(first["peak"], again["peak"])
        found.append({key: again[key] for key in keys} | {"peak": peak, "limit": limit})
    return found


def measure(arguments: list[str]) -> int:
    """The command."""
    options, extra = {"memory": "0.1", "steps": "100000", "task": "atari_pong"}, []
    for item in arguments:
        key, _, value = item.partition("=")
        if key in options:
            options[key] = value
        else:
            extra.append(item)
    owned()  # or say that it cannot be asked for
    memory, steps = float(options["memory"]), int(options["steps"])
    titles = "rows in", "rows", "memory, peak", "save: s, rows, checkpoint", "resume: s, memory"
    print(f"| {' | '.join(titles)} |\n{'|---' * 5}|")
    for run in compare(memory, steps, [f"task={options['task']}", *extra]):
        place = f"files, beyond {amount(run['limit'] * GIB)}" if run["mapped"] else "memory"
        rows = f"{run['rows']:,} = {amount(run['size'])}"
        saved = run["written"] - run["checkpoint"]
        save = f"{run['save']:.2f}, {amount(saved)}, {amount(run['checkpoint'])}"
        resume = f"{run['resume']:.2f}, {amount(run['resumed'])}"
        print(f"| {place} | {rows} | {amount(run['peak'])} | {save} | {resume} |", flush=True)
    return 0


if __name__ == "__main__":
    command(measure)()
