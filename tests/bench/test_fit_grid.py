"""Predictions against the measured high-water mark and the group's count: 5 models, 3 methods."""

from __future__ import annotations

import sys

import pytest

from bench.cli.fit import GRID_MODELS
from bench.fit.measuring import predict_cells, try_cell
from bench.fit.target import Target
from bench.workloads.steps import STEP_METHODS

PLENTY = Target(name="plenty", memory_bytes=16 << 30)
BATCHES = (1, 8, 64)
HIGHEST, MOST_OPTIMISTIC = 0.05, -0.03

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="reads the high-water mark of Linux"),
]


@pytest.mark.parametrize("model", GRID_MODELS)
def test_predictions_meet_the_measured_high_water_mark(model: str) -> None:
    cells = predict_cells([PLENTY], model, STEP_METHODS, BATCHES)
    for cell in cells:
        trial = try_cell(cell)
        assert trial.fits, trial
        assert trial.resident_bytes is not None
        error = cell.predicted_bytes / trial.resident_bytes - 1
        assert MOST_OPTIMISTIC <= error <= HIGHEST, (cell.method, cell.batch, error)
        if trial.peak_bytes is not None and cell.counted_bytes is not None:
            assert cell.counted_bytes == pytest.approx(trial.peak_bytes, rel=HIGHEST)
