"""What earlier records say: the rounds to an accuracy, and how fast another device is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from bench.plan.bill import Speed
from bench.plan.request import VARIANTS
from bench.records.details.training import CurvePoint, TrainDetails
from bench.records.record import Record
from bench.records.store import read_records

_ALGORITHMS = {
    "zowarmup": ("zowarmup",),
    "fedavg": ("fedavg", "high-res-only"),
    "fedavg-low-memory": ("fedavg", "high-res-only"),
}
_MOST_CASES = 3
_TURNS = 3


def rounds_to(accuracy: float, folder: Path) -> tuple[dict[str, int | None], int | None]:
    """Find after how many rounds trainings of a folder reached an accuracy.

    Args:
        accuracy: on the test split, in [0, 1].
        folder: of records of ``zobench train``.

    Returns:
        Rounds by variant, None where no record of it reached the accuracy; ZOWarmUp's pivot.

    Raises:
        ValueError: no record reached it.
    """
    trained = [record for record in read_records(folder) if record.group == "train"]
    found = {variant: _first(accuracy, trained, _ALGORITHMS[variant]) for variant in VARIANTS}
    reached = [pair for pair in found.values() if pair is not None]
    if not reached:
        raise ValueError(
            f"--to {accuracy:g} was reached by none of the {len(trained)} trainings in {folder}; "
            f"the best reached {max(map(_best, trained), default=0.0):.3f}"
        )
    zo = found["zowarmup"]
    pivot = None if zo is None else min(int(zo[1].config["pivot"]), zo[0])
    return {name: pair and pair[0] for name, pair in found.items()}, pivot


def speed_from(folder: Path) -> Speed:
    """Compare a device's shortest step times with the same steps here.

    Raises:
        ValueError: the folder has no times of steps.
    """
    timed = [(record, s) for record in read_records(folder) if (s := _seconds(record)) is not None]
    shortest = sorted(timed, key=lambda pair: pair[1])[:_MOST_CASES]
    ratios = [_ratio(record, seconds) for record, seconds in shortest]
    if not ratios:
        raise ValueError(
            f"--records {folder} must contain times of steps: run `zobench run --only time` there"
        )
    return Speed(
        factor=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        basis=f"scaled by {len(ratios)} step times of {folder.name} and the same here",
    )


def _first(
    accuracy: float, records: Sequence[Record], algorithms: Sequence[str]
) -> tuple[int, Record] | None:
    rounds = [
        (point.rounds_done, record)
        for record in records
        if record.config["algorithm"] in algorithms
        for point in _curve(record)
        if (point.test_accuracy or 0.0) >= accuracy
    ]
    return min(rounds, key=lambda pair: pair[0], default=None)


def _best(record: Record) -> float:
    return max((point.test_accuracy or 0.0 for point in _curve(record)), default=0.0)


def _curve(record: Record) -> tuple[CurvePoint, ...]:
    details = record.details_as(TrainDetails)
    return details.curve if details else ()


def _seconds(record: Record) -> float | None:
    """Return a device's time of a step; None where the record has none."""
    if record.group != "time":
        return None
    metrics = [record.metrics.get(name) for name in ("step", "direction")]
    return next((m.value for m in metrics if m is not None and m.value is not None), None)


def _ratio(record: Record, seconds: float) -> float:
    """Divide a device's time of a step by this machine's."""
    from bench.workloads.steps import make_step
    from bench.workloads.timing import time_once

    config = record.config
    step = make_step(str(config["source"]), str(config["method"]), int(config["batch"]))
    step()
    return seconds / statistics.median(time_once(step) for _ in range(_TURNS))
