"""paperN/walkthrough.py → walkthrough.ipynb: notebooks are written as percent-format Python.

`# %%` begins a cell of code, `# %% [markdown]` one of text. Without options all are written.
"""

import argparse
import json
import os
import re
import time
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebook(path: Path) -> nbformat.NotebookNode:
    """The notebook of a .py: no outputs, and the same cell ids every time."""
    book = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    for number, part in enumerate(f"\n{path.read_text('utf-8')}".split("\n# %%")[1:]):
        head, _, body = part.partition("\n")
        prose = head.strip() == "[markdown]"
        body = re.sub("(?m)^# ?", "", body) if prose else body
        new = nbformat.v4.new_markdown_cell if prose else nbformat.v4.new_code_cell
        book.cells.append(new(body.strip("\n"), id=f"cell-{number:02d}"))
    return book


def made(root: Path = ROOT) -> dict[Path, str]:
    """{walkthrough.ipynb: what its .py makes of it}"""
    sources = sorted(root.glob("paper*/**/walkthrough.py"))
    return {p.with_suffix(".ipynb"): nbformat.writes(notebook(p)) + "\n" for p in sources}


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
    print(path.parent.name, f"{time.perf_counter() - begin:.0f} s", failure, flush=True)
    if out:
        kept = out / path.parent.name / "walkthrough.ipynb"
        kept.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(book, kept)
        kept.with_suffix(".html").write_text(HTMLExporter().from_notebook_node(book)[0], "utf-8")
    return int(bool(failure))


def ship(run: str, file: str) -> None:
    """Write the modules of a run's best checkpoint; the metadata describes the agent."""
    from safetensors.torch import save_file

    from dreamkit import checkpoint

    state = checkpoint.read(run)
    agent = state["agent"]
    updates = agent.get("updates")  # V3 leaves the counting to its optimiser
    updates = updates or agent["optimizer"]["param_groups"][0]["done"] + 1
    about = state["header"] | {"updates": updates}
    about |= {key: state[key] for key in ("step", "return")}
    about = {key: x if isinstance(x, str) else json.dumps(x) for key, x in about.items()}
    save_file({k: x.float() for k, x in agent["modules"].items()}, file, about)


def main() -> int:
    parser = argparse.ArgumentParser("python -m course.notebooks")
    parser.add_argument("--check", action="store_true", help="say which do not match their .py")
    parser.add_argument("--run", action="store_true", help="execute each, and write nothing")
    parser.add_argument("--out", type=Path, help="with --run: a folder for the result and its HTML")
    parser.add_argument("--checkpoint", nargs=2, metavar=("RUN", "FILE.safetensors"))
    options = parser.parse_args()
    if options.checkpoint:
        return ship(*options.checkpoint) or 0
    if options.run:
        return max(execute(path.with_suffix(".py"), options.out) for path in made())
    differ = {
        p: text for p, text in made().items() if not p.exists() or p.read_text("utf-8") != text
    }
    for path, text in differ.items():
        print(path.relative_to(ROOT), "is not what its .py makes" if options.check else "written")
        if not options.check:
            path.write_text(text, "utf-8")
    return int(options.check and bool(differ))


if __name__ == "__main__":
    raise SystemExit(main())
