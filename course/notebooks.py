"""paperN/walkthrough.py → walkthrough.ipynb: notebooks are written as percent-format Python.

    python -m course.notebooks                        write every notebook from its .py
    python -m course.notebooks --check                say which do not match
    python -m course.notebooks --run [--out FOLDER]   execute each; FOLDER keeps it and its HTML
    python -m course.notebooks --checkpoint RUN FILE  the model of a run as safetensors, to ship

`# %%` begins a cell of code, `# %% [markdown]` one of text, whose lines begin with `#`.
"""

import json
import os
import sys
import time
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebook(source: str) -> nbformat.NotebookNode:
    """The notebook of a source: no outputs, and the same cell ids every time."""
    book = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    for number, part in enumerate(f"\n{source}".split("\n# %%")[1:]):
        head, _, body = part.partition("\n")
        cell = nbformat.v4.new_code_cell(body.strip("\n"))
        if head.strip() == "[markdown]":
            lines = [line.removeprefix("#").removeprefix(" ") for line in cell.source.split("\n")]
            cell = nbformat.v4.new_markdown_cell("\n".join(lines))
        cell.id = f"cell-{number:02d}"
        book.cells.append(cell)
    return book


def made(root: Path = ROOT) -> dict[Path, str]:
    """{walkthrough.ipynb: what its .py makes of it}."""
    sources = sorted(root.glob("paper*/walkthrough.py"))
    books = {path.with_suffix(".ipynb"): notebook(path.read_text("utf-8")) for path in sources}
    return {path: nbformat.writes(book) + "\n" for path, book in books.items()}


def stale(root: Path = ROOT) -> list[Path]:
    """Notebooks that differ from what their .py makes; a run that was saved is a difference."""
    books = made(root).items()
    return [path for path, new in books if not path.exists() or path.read_text("utf-8") != new]


def execute(path: Path, out: Path | None = None) -> str:
    """Run the notebook of a .ipynb's .py in its folder. Returns what failed, in one line, or ""."""
    from nbclient import NotebookClient
    from nbclient import exceptions as lost

    os.environ |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1"}
    book, begun, failure = notebook(path.with_suffix(".py").read_text("utf-8")), [], ""
    client = NotebookClient(
        book, timeout=600, kernel_name="python3", extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=lambda cell, cell_index: begun.append(cell),
    )  # fmt: skip
    try:
        client.execute()
    except lost.CellExecutionError as error:
        failure = f"{error.ename}: {error.evalue}"
    except (lost.CellTimeoutError, lost.DeadKernelError) as error:
        failure = f"{type(error).__name__}: {error}"
    if out:
        from nbconvert import HTMLExporter

        (out / path.parent.name).mkdir(parents=True, exist_ok=True)
        kept = out / path.parent.name / path.name
        nbformat.write(book, kept)
        kept.with_suffix(".html").write_text(HTMLExporter().from_notebook_node(book)[0], "utf-8")
    return failure and f"failed in {begun[-1].id}: {' '.join(failure.split())}"


def ship(run: str, file: str) -> None:
    """Write the modules of a run's best checkpoint; the metadata describes the agent."""
    from safetensors.torch import save_file

    from dreamkit import checkpoint

    state = checkpoint.read(run)
    about = state["header"] | {"updates": state["agent"]["updates"], "step": state["step"]}
    about = {key: x if isinstance(x, str) else json.dumps(x) for key, x in about.items()}
    save_file({k: x.float() for k, x in state["agent"]["modules"].items()}, file, about)


def main(words: list[str]) -> int:
    if "--checkpoint" in words:
        ship(*words[words.index("--checkpoint") + 1 :])
        return 0
    if "--run" not in words:
        for path in stale():
            print(f"{path.relative_to(ROOT)} ", end="")
            print("is not what its .py makes" if "--check" in words else "written")
            if "--check" not in words:
                path.write_text(made()[path], "utf-8")
        return int("--check" in words and bool(stale()))
    out = Path(words[words.index("--out") + 1]) if "--out" in words else None
    failures = []
    for path in made():
        begin = time.perf_counter()
        failures.append(execute(path, out))
        seconds = f"{time.perf_counter() - begin:.0f} s"
        print(path.relative_to(ROOT), seconds, failures[-1], flush=True)
    return int(any(failures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
