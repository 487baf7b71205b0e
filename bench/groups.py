"""The names of the suite's groups and scales, for everything that names one: no import needed."""

from __future__ import annotations

from typing import Final

GROUPS: Final = (  # in running order
    *("memory", "bytes", "formulas", "time"),
    *("edge", "engine", "accuracy", "frontier"),
)
OPT_IN_GROUPS: Final = ("llm", "wire")  # these run only where --only names them
TABLES: Final = "tables"  # the paper's tables: whole trainings, which --only names one by one

SCALE_NAMES: Final = ("smoke", "default", "laptop", "paper")
