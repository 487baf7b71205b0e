"""How cases run child processes: their time limits, and their results as types."""

from __future__ import annotations

from typing import Final, TypeVar

import devices
from bench.records.record import Metric
from bench.records.typed_json import from_json

T = TypeVar("T")
TRIAL_TIMEOUT_S: Final = 900.0  # one step, export or import
CASE_TIMEOUT_S: Final = 3600.0  # everything that one case measures in one process


def value_of(run: devices.IsolatedResult, kind: type[T]) -> T | None:
    """Return a child's result as the type that it returned; None where the child failed.

    Args:
        run: the child's end.
        kind: a dataclass, or another type of :mod:`bench.records.typed_json`.

    Raises:
        ValueError: the child sent something else.
    """
    return from_json(kind, run.value) if run.status == "ok" else None


def reading_metric(reading: devices.Reading) -> Metric:
    """Return a meter's reading as a metric; unmeasured with its reason where it has no value."""
    if reading.value is None:
        return Metric.unmeasured(reading.unit, str(reading.reason))
    return Metric.single(reading.value, reading.unit, reading.method)
