"""Who may import whom."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAPER = re.compile(r"(?:solutions\.)?(paper(\d)_\w+)")


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in ROOT.glob(f"{folder}/**/*.py"))


# Commands of chapter 4, which play, train and draw: around the agent, not part of it.
COMMANDS = ("check", "convert", "compare", "analyse")
# Those of its part B, a chain of stages: data plays, train joins all, pages draws.
PART, STAGES = "hidreamer", ("data", "train", "check", "analyse", "pages")
BORROWED = {  # what part B takes from elsewhere
    "paper3_dreamerv3.networks", "paper3_dreamerv3.actor_critic",
    "paper4_hdreamer.probes", "paper4_hdreamer.analyse", "paper4_hdreamer.pages",
}  # fmt: skip
PAPERS = sources("solutions/paper*", "paper[0-9]_*")
PAPERS = [path for path in PAPERS if path.name != "walkthrough.py"]  # a notebook may import all


def is_main(node: ast.stmt) -> bool:
    """`if __name__ == "__main__":`"""
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def imports(path: Path, module: str = "") -> set[str]:
    """Names of all modules that a file imports, anywhere but under `__main__`."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for part in tree.body:
        if is_main(part):
            continue
        for node in ast.walk(part):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute"
                found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "import_module", "importlib.import_module", "__import__",
            ):  # fmt: skip
                first = node.args[0]
                found |= {first.value} if isinstance(first, ast.Constant) else set()
    return found


def packages(path: Path) -> set[str]:
    """First parts of the names that a file imports."""
    return {name.split(".")[0] for name in imports(path)}


def test_the_walker_sees_every_form_of_import(tmp_path):
    source = (
        "import a\nfrom b.c import d\ndef f():\n    import e.f\n"
        "import importlib\nimportlib.import_module('g')\n"
        "if __name__ == '__main__':\n    import h\n"
    )
    path = tmp_path / "x.py"
    path.write_text(source)
    assert imports(path) == {"a", "b.c", "b.c.d", "e.f", "importlib", "g"}


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_paper_imports_its_own_folder_alone_and_paper_4_also_paper_3(path):
    inside = str(path.relative_to(ROOT))
    solution = inside.startswith("solutions/")
    own = PAPER.match(inside.replace("/", "."))
    for name in imports(path):
        other = PAPER.match(name)
        if not other:
            commands = STAGES if path.parent.name == PART else COMMANDS
            around = {"dreamkit"} if path.stem in commands and own[2] == "4" else set()
            assert name.split(".")[0] not in {"dreamkit", "course", "tests", "benchmarks"} - around
            assert name != "solutions", f"{inside} imports all solutions"
            continue
        assert name.startswith("solutions.") == solution, f"{inside} imports {name}"
        arrow = (own[2], other[2])
        assert arrow[0] == arrow[1] or arrow == ("4", "3"), f"{inside} imports {name}"


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_inside_a_paper_networks_import_nothing_and_parts_import_networks_alone(path):
    allowed = {
        "networks": set(), "optim": set(), "buffer": set(),
        "rssm": {"networks"}, "actor_critic": {"networks"},
    }  # fmt: skip
    if path.stem not in allowed or path.parent.name == PART:
        return
    own = path.parent.name
    siblings = {
        name.split(f"{own}.")[1].split(".")[0] for name in imports(path) if own + "." in name
    }
    assert siblings <= allowed[path.stem]


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_chapter_4_s_part_b_takes_little_from_elsewhere_and_gives_nothing_back(path):
    names = {name.removeprefix("solutions.") for name in imports(path) if PAPER.match(name)}
    modules = {".".join(name.split(".")[:2]) for name in names if "." in name}
    own = f"paper4_hdreamer.{PART}"
    assert modules <= BORROWED | {own} if path.parent.name == PART else own not in modules


@pytest.mark.parametrize("path", sources("dreamkit"), ids=lambda path: str(path.relative_to(ROOT)))
def test_dreamkit_knows_no_agent_no_course_and_no_test(path):
    for name in imports(path):
        assert not PAPER.match(name), name
        assert name.split(".")[0] not in ("solutions", "course", "tests", "benchmarks"), name


@pytest.mark.parametrize("path", sources("course"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_course_imports_no_paper_by_name(path):
    assert not [name for name in imports(path) if PAPER.match(name)]
    assert not packages(path) & {"solutions", "tests", "benchmarks"}


def test_there_are_sources_to_check():
    assert len(PAPERS) >= 5 and len(sources("dreamkit")) >= 12


def loaded(statement: str) -> set[str]:
    """Packages that a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "paper", ["paper1_dreamerv1", "paper2_dreamerv2", "paper3_dreamerv3", "paper4_hdreamer"]
)
def test_an_agent_needs_torch_and_numpy_alone(paper):
    names = loaded(f"import solutions.{paper}.train")
    assert {"torch", "numpy", "solutions"} <= names
    around = {"gymnasium", "hydra", "omegaconf", "rich", "matplotlib", "cv2", "dreamkit", "course"}
    around |= {"imageio", "PIL", "yaml", "filelock", "ale_py", "mlflow", "tensorboard", "sklearn"}
    assert names & around == set()


def test_help_needs_no_torch():
    """`dreamer-train --help` answers at once."""
    names = loaded("import dreamkit.cli as c; c.train_command(['--help'])")
    assert names & {"torch", "hydra", "gymnasium", "matplotlib"} == set()


def test_no_source_of_the_runtime_is_left_out_of_the_package():
    """Every folder of dreamkit with Python files is a package that pyproject.toml lists."""
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in sources("dreamkit", "solutions")}
    assert {".".join(folder.parts) for folder in folders} <= set(listed)
    assert all(importlib.util.find_spec(name) for name in listed)
