"""The trainer looks for this file beside an agent: the solution's faster functions fit here too."""

from solutions.paper3_dreamerv3.fast import replacements  # noqa: F401
