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


def notebook(path: Path) -> nbformat.NotebookNode:
    """The notebook of a .py: no outputs, and the same cell ids every time."""
    book = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    source = "\n" + path.read_text("utf-8")
    for number, part in enumerate(source.split("\n# %%")[1:]):
        head, _, body = part.partition("\n")
        cell = nbformat.v4.new_code_cell(body.strip("\n"))
        if head.strip() == "[markdown]":
            lines = [line.removeprefix("#").removeprefix(" ") for line in cell.source.split("\n")]
            cell = nbformat.v4.new_markdown_cell("\n".join(lines))
        cell.id = f"cell-{number:02d}"
        book.cells.append(cell)
    return book


def stale(root: Path = ROOT) -> dict[Path, str]:
    """{.ipynb: what it should be} of those that differ; the outputs of a run are a difference."""
    sources = sorted(root.glob("paper*/walkthrough.py"))
    made = {path.with_suffix(".ipynb"): nbformat.writes(notebook(path)) + "\n" for path in sources}
    return {p: new for p, new in made.items() if not p.exists() or p.read_text("utf-8") != new}


def execute(path: Path, out: Path | None = None) -> str:
    """Run the notebook of a .py in its folder. Returns what failed, in one line, or ""."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal

    inline = "module://matplotlib_inline.backend_inline"
    os.environ |= {"MPLBACKEND": inline, "PYTHONDONTWRITEBYTECODE": "1"}
    book, failure = notebook(path), ""
    begun = book.cells[:1]
    options = {"timeout": 600, "kernel_name": "python3", "extra_arguments": ["--log-level=ERROR"]}
    client = NotebookClient(book, resources={"metadata": {"path": str(path.parent)}}, **options)
    client.on_cell_start = lambda cell, cell_index: begun.append(cell)
    try:
        client.execute()
    except (CellControlSignal, RuntimeError) as error:  # of the code; too slow; the kernel died
        reason = f"{getattr(error, 'ename', 'kernel')}: {getattr(error, 'evalue', error)}"
        failure = f"failed in {begun[-1].id}: {' '.join(reason.split())}"
    if out:
        from nbconvert import HTMLExporter

        kept = out / path.parent.name / "walkthrough.html"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(HTMLExporter().from_notebook_node(book)[0], "utf-8")
        nbformat.write(book, kept.with_suffix(".ipynb"))
    return failure


def ship(run: str, file: str) -> None:
    """Write the modules of a run's best checkpoint; the metadata describes the agent."""
    from safetensors.torch import save_file

    from dreamkit import checkpoint

    state = checkpoint.read(run)
    about = {**state["header"], "updates": state["agent"]["updates"]}
    about |= {key: state[key] for key in ("step", "return")}
    about = {key: x if isinstance(x, str) else json.dumps(x) for key, x in about.items()}
    save_file({k: x.float() for k, x in state["agent"]["modules"].items()}, file, about)


def main(words: list[str]) -> int:
    if "--checkpoint" in words:
        return ship(*words[words.index("--checkpoint") + 1 :]) or 0
    failures = []
    if "--run" in words:
        out = Path(words[words.index("--out") + 1]) if "--out" in words else None
        for path in sorted(ROOT.glob("paper*/walkthrough.py")):
            begin = time.perf_counter()
            failures.append(execute(path, out))
            print(path.parent.name, f"{time.perf_counter() - begin:.0f} s", failures[-1])
        return int(any(failures))
    for path, new in stale().items():
        if "--check" in words:
            failures.append(f"{path.relative_to(ROOT)} differs: python -m course.notebooks")
        else:
            path.write_text(new, "utf-8")
    print(*failures, sep="\n", end="\n" if failures else "")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
