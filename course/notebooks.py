"""paperN/walkthrough.py → walkthrough.ipynb: notebooks are written as percent-format Python.

    python -m course.notebooks                        write every notebook from its .py
    python -m course.notebooks --check                say which do not match
    python -m course.notebooks --run [--out FOLDER]   execute each; FOLDER keeps it and its HTML
    python -m course.notebooks --checkpoint RUN FILE  the model of a run as safetensors, to ship

`# %%` begins a cell of code, `# %% [markdown]` one of text, whose lines begin with `#`.
"""

import argparse
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


def sources(root: Path = ROOT) -> list[Path]:
    return sorted(root.glob("paper*/walkthrough.py"))


def stale(root: Path = ROOT) -> dict[Path, str]:
    """{.ipynb: what it should be} of those that differ; the outputs of a run are a difference."""
    made = {path.with_suffix(".ipynb"): nbformat.writes(notebook(path)) for path in sources(root)}
    return {
        p: f"{new}\n" for p, new in made.items() if not p.exists() or p.read_text() != f"{new}\n"
    }


def execute(path: Path, out: Path | None = None) -> int:
    """Run the notebook of a .py in its folder; say in one line what came of it. 1 if it failed."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal
    from nbconvert import HTMLExporter

    inline = "module://matplotlib_inline.backend_inline"
    os.environ |= {"MPLBACKEND": inline, "PYTHONDONTWRITEBYTECODE": "1"}
    book, begin, failure = notebook(path), time.perf_counter(), ""
    options = {"timeout": 600, "kernel_name": "python3", "extra_arguments": ["--log-level=ERROR"]}
    client = NotebookClient(book, resources={"metadata": {"path": str(path.parent)}}, **options)
    begun = book.cells[:1]
    client.on_cell_start = lambda cell, cell_index: begun.append(cell)
    try:
        client.execute()
    except (CellControlSignal, RuntimeError) as error:  # of the code; too slow; the kernel died
        reason = f"{getattr(error, 'ename', 'kernel')}: {getattr(error, 'evalue', error)}"
        failure = f"failed in {begun[-1].id}: {' '.join(reason.split())}"
    print(path.parent.name, f"{time.perf_counter() - begin:.0f} s", failure)
    if out:
        (out / path.parent.name).mkdir(parents=True, exist_ok=True)
        html, _ = HTMLExporter().from_notebook_node(book)
        (out / path.parent.name / "walkthrough.html").write_text(html, "utf-8")
        nbformat.write(book, out / path.parent.name / "walkthrough.ipynb")
    return int(bool(failure))


def ship(run: str, file: str) -> None:
    """Write the modules of a run's best checkpoint; the metadata describes the agent."""
    from safetensors.torch import save_file

    from dreamkit import checkpoint

    state = checkpoint.read(run)
    about = state["header"] | {"updates": state["agent"]["updates"]}
    about |= {key: state[key] for key in ("step", "return")}
    about = {key: x if isinstance(x, str) else json.dumps(x) for key, x in about.items()}
    save_file({k: x.float() for k, x in state["agent"]["modules"].items()}, file, about)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--checkpoint", nargs=2, metavar=("RUN", "FILE"))
    options = parser.parse_args()
    if options.checkpoint:
        return ship(*options.checkpoint) or 0
    if options.run:
        return max((execute(path, options.out) for path in sources()), default=0)
    differ = stale()
    for path, new in differ.items():
        if options.check:
            print(f"{path.relative_to(ROOT)} is not made from its .py: python -m course.notebooks")
        else:
            path.write_text(new, "utf-8")
    return int(options.check and bool(differ))


if __name__ == "__main__":
    sys.exit(main())
