"""The names of the suite's groups and scales, for everything that names one: no import needed."""

from __future__ import annotations

from typing import Final

GROUPS: Final = (  # in running order
    *("memory", "bytes", "formulas", "time"),
    *("edge", "engine", "accuracy", "frontier"),
)
OPT_IN_GROUPS: Final = ("llm", "wire")  # these run only where --only names them
SUMMARIES: Final = {  # what each group measures
    "memory": "peak memory of one step: inference, ZO and backprop",
    "bytes": "bytes of one round per client, from encoded messages",
    "formulas": "the paper's Table 1: printed, recomputed and measured",
    "time": "time and energy of one step: inference, ZO and backprop",
    "edge": "a ZO client with and without torch: memory, time, exactness",
    "engine": "the engine: passes over the weights, exactness, extra memory",
    "accuracy": "whole training runs on digits: ZOWarmUp, High-Res-Only and other methods",
    "frontier": "memory and time of every training variant, by accuracy",
    "llm": "language models: memory of a step, what fits, bytes of a round",
    "wire": "bytes of one round on a network, and fleets of clients (Linux, root)",
}
TESTS: Final = "tests"  # of other projects, measured by the fixture peak_memory
TABLES: Final = "tables"  # the paper's tables: whole trainings, which --only names one by one

SCALE_NAMES: Final = ("smoke", "default", "laptop", "paper")

USED_BY: Final = {  # option of a run -> the groups that it changes
    "model": ("memory", "bytes", "time", "edge", TABLES),
    "device": ("memory", "time", "engine", "accuracy", "frontier", TABLES),
    "precision": ("memory", "time", "accuracy", "frontier", TABLES),
    "energy-csv": ("time", "frontier"),
}
