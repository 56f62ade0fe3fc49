"""Where numbers go: the console for the person, JSON lines for everything else."""

import json
import os
from pathlib import Path

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TextColumn


class JsonLines:
    """One JSON object a line, written at once, so that a killed run loses none."""

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, row: dict) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def truncate(self, size: int) -> None:
        """Forget what was written after a checkpoint: it will be written again."""
        if self.size() > size:
            os.truncate(self.path, size)


def read_jsonl(path: Path, kind: str) -> list[dict]:
    """The rows of one kind: `train` or `eval`."""
    if not path.exists():
        return []
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["kind"] == kind]


def clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Silent:
    """Takes everything that a Console or JsonLines takes, and says nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def size(self) -> int:
        return 0

    def __getattr__(self, name: str):
        return lambda *args, **kwargs: None


class Console:
    """A progress bar in a terminal; plain lines elsewhere. Use it as a context while training."""

    def __init__(self, total: int):
        self.console = RichConsole(highlight=False, soft_wrap=True)
        self.total = total
        self.latest = ""
        self.history: list[tuple[int, float]] = []
        self.bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} steps"),
            TextColumn("{task.fields[text]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("", total=total, text="")

    def __enter__(self):
        self.bar.start()
        return self

    def __exit__(self, *error):
        self.bar.stop()

    def note(self, text: str) -> None:
        self.console.print(text, markup=False)

    def evaluated(self, step: int, mean: float, std: float, seconds: float) -> None:
        """A line for every evaluation: these are the numbers to judge a run by."""
        self.latest = f"return {mean:.1f}"
        self.note(f"{clock(seconds):>8}  step {step:>8,}  evaluation {mean:8.1f} ± {std:.1f}")

    def update(self, step: int, seconds: float) -> None:
        """Steps per second and time left, from the last 200 calls."""
        self.history = [*self.history[-199:], (step, seconds)]
        steps, elapsed = (b - a for a, b in zip(self.history[0], self.history[-1], strict=True))
        speed = steps / elapsed if elapsed > 0 else 0.0
        left = clock((self.total - step) / speed) if speed else "?"
        text = f"{self.latest}  {speed:.0f} steps/s  {left} left".strip()
        self.bar.update(self.task, completed=step, text=text)
