"""Predict steps in fresh processes, and try them under a limit that the kernel enforces.

The runtime is measured here, by one step of each method; the tensors are counted
without the memory (:mod:`bench.fit.prediction`).  All processes run with `RETURN_BLOCKS`, as every
process whose memory the suite measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import devices
from bench.fit.cells import Cell
from bench.fit.prediction import PredictedTensors, Runtime
from bench.fit.target import Target
from bench.records.details.machine import FitTrial
from bench.records.typed_json import from_json
from bench.workloads.child import TRIAL_TIMEOUT_S
from bench.workloads.steps import BESIDE_OTHERS, RETURN_BLOCKS

_GENEROUS_BYTES = 64 << 30  # a limit only for its counter


class CannotPredictError(ValueError):
    """A model's process failed before anything could be predicted."""


def predict_cells(
    targets: Sequence[Target],
    model: str,
    methods: Sequence[str],
    batches: Sequence[int],
    images: int | None = None,
) -> list[Cell]:
    """Predict the steps of one model on some devices.

    Raises:
        CannotPredictError: the model's process failed; the message says why.
    """
    run = _run("predict_tensors", model, list(methods), list(batches), images)
    steps = from_json(tuple[PredictedTensors, ...], run.value)
    # Second, so that the libraries' pages are in the page cache and not charged to its group.
    needs = {method: _measure_runtime(model, method) for method in methods}
    return [
        Cell(
            device=target.name,
            limit_bytes=target.limit_bytes,
            reserve_bytes=target.reserve_bytes,
            model=model,
            method=step.method,
            batch=step.batch,
            images=images,
            tensors_bytes=step.bytes,
            formula_bytes=step.formula_bytes,
            how=step.how,
            runtime_bytes=needs[step.method][0],
            uncounted_bytes=needs[step.method][1],
        )
        for target in targets
        for step in steps
    ]


def try_cell(cell: Cell) -> FitTrial:
    """Run a cell's step once in a fresh process, and stop it where resident memory is too much."""
    run = devices.run_isolated(
        "bench.fit.trial:try_step",
        *(cell.model, cell.method, cell.batch, cell.images),
        limit_bytes=cell.enforced_bytes,
        timeout_s=TRIAL_TIMEOUT_S,
        env=RETURN_BLOCKS | BESIDE_OTHERS,
    )
    return FitTrial(
        status=run.status,
        phase=run.phase,
        error=None if run.error is None else run.error.splitlines()[0],
        limit_method=run.limit_method,
        enforced_bytes=cell.enforced_bytes,
        peak_bytes=run.limit_peak_bytes.value,
        resident_bytes=run.value,
        seconds=run.seconds,
    )


def _measure_runtime(model: str, method: str) -> tuple[int, int | None]:
    """Return the resident runtime, and what of it a limit's counter leaves out, in bytes."""
    try:
        run = _run("measure_runtime", model, method, limit_bytes=_GENEROUS_BYTES)
    except OSError:  # no limit can be set here
        run = _run("measure_runtime", model, method)
    runtime, counted = from_json(Runtime, run.value), run.limit_peak_bytes.value
    uncounted = None if counted is None else max(0, runtime.peak_bytes - int(counted))
    return runtime.resident_bytes, uncounted


def _run(function: str, *arguments: Any, limit_bytes: int | None = None) -> devices.IsolatedResult:
    run = devices.run_isolated(
        f"bench.fit.prediction:{function}",
        *arguments,
        limit_bytes=limit_bytes,
        timeout_s=TRIAL_TIMEOUT_S,
        env=RETURN_BLOCKS | BESIDE_OTHERS,
    )
    if run.status != "ok":
        raise CannotPredictError(f"{arguments[0]}: {run.status}: {run.error}")
    return run
