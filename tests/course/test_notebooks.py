"""Notebooks are what their .py makes, and carry no outputs; shipped models fit their agents.

That they run is not tested here: `python -m course.notebooks --run` does it.
"""

import json

import nbformat
import pytest
from safetensors import safe_open

from course import notebooks
from dreamkit.checkpoint import build_agent
from dreamkit.envs import make

ROOT = notebooks.ROOT
BOOKS = notebooks.made()
MODELS = sorted(ROOT.glob("paper*/*.safetensors"))
every_book = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.parent.name)
every_model = pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parent.name)


def test_there_are_notebooks_and_models_to_check():
    assert BOOKS and MODELS


@every_book
def test_a_notebook_is_what_its_py_makes_of_it(path):
    message = "changed, or saved with outputs: python -m course.notebooks writes it anew"
    assert path.read_text("utf-8") == BOOKS[path], message


@every_book
def test_a_notebook_is_valid_and_has_no_outputs(path):
    book = nbformat.read(path, 4)
    nbformat.validate(book)
    for cell in book.cells:
        assert cell.cell_type == "markdown" or (not cell.outputs and cell.execution_count is None)
    assert len({cell.id for cell in book.cells}) == len(book.cells)


def test_markdown_and_code_become_cells(tmp_path):
    path = tmp_path / "walkthrough.py"
    path.write_text("# %% [markdown]\n# # Title\n#\n#     code\n\n# %%\nx = 1\n\n\n# %%\n# y\n")
    cells = notebooks.notebook(path).cells
    assert [(c.cell_type, c.source) for c in cells] == [
        ("markdown", "# Title\n\n    code"), ("code", "x = 1"), ("code", "# y"),
    ]  # fmt: skip


@every_model
def test_a_shipped_model_is_small_and_fits_the_agent_that_it_describes(path):
    assert path.stat().st_size <= 2_000_000
    with safe_open(path, "pt") as file:
        about = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    head = {key: json.loads(about[key]) for key in ("agent", "task")}
    env = make(**head["task"])
    agent = build_agent(head | {"agent_name": about["agent_name"], "code": "solutions"}, env)
    agent.modules.load_state_dict(weights)
    assert {str(x.dtype) for x in weights.values()} == {"torch.float32"}
    assert int(about["updates"]) > 0 and about["agent_name"] in path.parent.name
