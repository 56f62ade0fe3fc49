"""The commands in processes of their own, which tests may kill.

A fork server that has imported everything starts one in a tenth of a second instead of four.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["dreamkit.cli", "dreamkit.trainer", "dreamkit.envs", "dreamkit.report", "hydra", "filelock"]
    + ["yaml", "solutions.paper3_dreamerv3.train", "torch._dynamo", "torch.optim"]
)


def die_at(moment: str, count: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to this process when something happens for the count-th time."""
    from dreamkit import checkpoint, loggers, replay, trainer

    calls = 0

    def die() -> None:
        os.kill(os.getpid(), number)

    def due() -> bool:
        nonlocal calls
        calls += 1
        return calls == count

    def before(owner, name, only=""):
        function = getattr(owner, name)

        def wrapped(*args, **kwargs):
            if only in "".join(map(str, args)) and due():
                die()
            return function(*args, **kwargs)

        setattr(owner, name, wrapped)

    if moment == "update":
        before(trainer.Trainer, "update")
    elif moment == "row file flushed":
        before(os, "fsync")
    elif moment == "checkpoint written but not named":
        before(os, "replace", "latest.pt")
    elif moment == "best written but not named":
        before(os, "replace", "best.pt")
    elif moment == "checkpoint named":
        before(replay.Replay, "clean")
    elif moment == "half a checkpoint":
        save = checkpoint.torch.save

        def half(state, file):
            save(state, file)
            if due():
                file.truncate(file.tell() // 2)
                die()

        checkpoint.torch.save = half
    elif moment == "half a row":
        write = replay.Chunk.write

        def half_row(self, mapped):
            if self.written < self.count and due():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with open(self.path, "r+b" if self.path.exists() else "wb") as file:
                    file.seek(self.written * self.rows.itemsize)
                    file.write(self.rows[self.written : self.count].tobytes()[:-3])
                die()
            write(self, mapped)

        replay.Chunk.write = half_row
    elif moment == "half a line of metrics":
        line = loggers.JsonLines.write

        def half_line(self, row):
            if due():
                with open(self.path, "a", encoding="utf-8") as file:
                    file.write('{"kind": "train", "st')
                die()
            line(self, row)

        loggers.JsonLines.write = half_line
    else:
        raise ValueError(moment)


def hide(word: str) -> None:
    """Shared libraries with this word in their names are not there."""
    import ctypes.util

    load, find = ctypes.CDLL.__init__, ctypes.util.find_library

    def init(self, name, *args, **kwargs):
        if name and word in str(name):
            raise OSError(f"{name}: cannot open shared object file")
        load(self, name, *args, **kwargs)

    ctypes.CDLL.__init__ = init
    ctypes.util.find_library = lambda name: None if word in name else find(name)


def work(arguments: list[str], folder: str, options: dict) -> None:
    """Body of a process: `dreamer-train` in `folder`, with its output in files."""
    import toy_environments  # noqa: F401

    import dreamkit.replay
    import dreamkit.report
    from dreamkit import cli

    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(options["log"] + name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    if not options["report"]:
        dreamkit.report.write = lambda folder: folder / "report.html"
    if options["chunk"]:
        dreamkit.replay.CHUNK = options["chunk"]
    if options["file_limit"]:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (options["file_limit"], limit))
    for name, value in options["environ"].items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    if options["hidden"]:
        hide(options["hidden"])
    if options["die_at"]:
        die_at(*options["die_at"])
    sys.argv = ["dreamer-train", *arguments]
    cli.train()


class Started:
    """A running `dreamer-train`."""

    def __init__(
        self, arguments, folder: Path, *, report=False, chunk=0, file_limit=0, die_at=None,
        environ=(), hidden="",
    ):  # fmt: skip
        self.log = f"{folder}/{len(list(folder.glob('*.stdout')))}."
        options = dict(
            report=report, chunk=chunk, file_limit=file_limit, die_at=die_at, log=self.log,
            environ=dict(environ), hidden=hidden,
        )  # fmt: skip
        self.process = CONTEXT.Process(target=work, args=(list(arguments), str(folder), options))
        self.process.start()

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def wait(self, seconds: float = 120) -> int:
        """Exit code; negative numbers are signals."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"dreamer-train still runs after {seconds} seconds")
        return self.process.exitcode

    @property
    def stdout(self) -> str:
        return Path(self.log + "stdout").read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        return Path(self.log + "stderr").read_text(encoding="utf-8")
