"""The table of zobench fit: nothing is clipped, whatever the console's width."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from bench.boards import Verdict
from bench.cli.fit_table import show
from bench.fit.cells import Cell
from bench.labels import method_label
from bench.records.details.machine import FitTrial
from bench.workloads.steps import STEP_METHODS

GIB = 1 << 30
CELL = Cell(
    **{"device": "512MiB", "limit_bytes": GIB // 2, "reserve_bytes": 0, "model": "resnet18"},
    **{"method": "zo", "batch": 64, "images": None, "tensors_bytes": 10 * GIB, "how": "formula"},
    **{"formula_bytes": 9 * GIB, "runtime_bytes": GIB, "uncounted_bytes": GIB // 2},
)
TRIAL = FitTrial(
    **{"status": "does not fit", "phase": "backward", "error": None, "limit_method": None},
    **{"enforced_bytes": GIB, "peak_bytes": None, "resident_bytes": None, "seconds": 1.0},
)


def shown(width: int, *, trial: FitTrial | None = None, everything: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False)
    cells = [replace(CELL, method=method, trial=trial) for method in STEP_METHODS]
    show(console, cells, everything=everything)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 110, 200])
@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("trial", [None, TRIAL])
def test_no_cell_is_clipped(width: int, everything: bool, trial: FitTrial | None) -> None:
    text = shown(width, trial=trial, everything=everything)
    assert "…" not in text
    assert text.count(Verdict.DOES_NOT_FIT.value) >= len(STEP_METHODS)
    assert all(method_label(method) in text for method in STEP_METHODS)
    assert everything or max(map(len, text.splitlines())) <= width


def test_a_narrow_console_leaves_out_two_columns_and_says_so() -> None:
    narrow, wide, verbose = shown(80), shown(200), shown(80, everything=True)
    assert "--verbose" in narrow
    assert "9216" not in narrow  # the formula's
    assert "9216" in wide
    assert "9216" in verbose
    assert "--verbose" not in wide + verbose


def test_the_columns_of_the_formulas_are_explained() -> None:
    assert "Eq. 4, 5: the paper's formulas" in shown(200)


def test_the_title_says_that_nothing_is_reserved() -> None:
    assert "nothing reserved" in shown(200)
