"""Agents by name: `dreamerv3` is the folder `paper*_dreamerv3`, whose train.py has `Agent`."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from dreamkit import UserError, first_line

ROOT = Path(__file__).resolve().parents[1]


def code_folder(code: str) -> tuple[Path, str]:
    """Folder of the paper folders, and their package's prefix, for code=solutions|mine|PATH."""
    if code == "solutions":
        return ROOT / "solutions", "solutions."
    folder = ROOT if code == "mine" else Path(code).expanduser().resolve()
    if not folder.is_dir():
        raise UserError(f"code={code}: there is no such folder")
    return folder, ""


def names(code: str = "solutions") -> list[str]:
    """Names of the agents that are there."""
    folder, _ = code_folder(code)
    return sorted(path.parent.name.split("_", 1)[1] for path in folder.glob("paper*_*/train.py"))


def load(name: str, code: str = "solutions") -> ModuleType:
    """The agent's `train` module.

    errors   UserError: unknown name, or a module that cannot be imported, for whatever reason
    """
    folder, prefix = code_folder(code)
    found = sorted(folder.glob(f"paper*_{name}/train.py"))
    if not found:
        known = ", ".join(names(code)) or "none"
        raise UserError(f"unknown agent {name!r}; code={code} has: {known}")
    if not prefix and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(f"{prefix}{found[0].parent.name}.train")
    except Exception as error:
        raise UserError(f"{found[0]} cannot be imported: {first_line(error)}") from error
