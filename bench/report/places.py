"""The places of a record of the paper's tables: one per row and split, looked up and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.format import place_key
from bench.records.paired import PairedDifference, paired_difference
from bench.records.record import Metric, Record

Place = Mapping[str, Any]  # one entry of a record's details["places"]


def metric_of(record: Record, place: Place, name: str) -> Metric | None:
    """Return a place's metric; None where it does not apply or nothing is done."""
    metric = record.metrics.get(f"{place_key(place['row'], place['split'])}/{name}")
    return metric if metric is not None and metric.value is not None else None


def place_of(record: Record, row: str, split: str) -> Place | None:
    """Return a record's place by row and split."""
    found = (p for p in record.details["places"] if (p["row"], p["split"]) == (row, split))
    return next(found, None)


def difference(
    record: Record, place: Place, other: Place | None, name: str
) -> PairedDifference | None:
    """Compare two places of a record on the seeds that both have."""
    if other is None:
        return None
    ours, theirs = _by_seed(record, place, name), _by_seed(record, other, name)
    pairs = [value - theirs[seed] for seed, value in ours.items() if seed in theirs]
    return paired_difference(pairs) if pairs else None


def label_of(record: Record, row: str) -> str:
    """Return a row's label."""
    return next((p["label"] for p in record.details["places"] if p["row"] == row), row)


def _by_seed(record: Record, place: Place, name: str) -> dict[int, float]:
    metric = metric_of(record, place, name)
    if metric is None or len(metric.samples) != len(place["seeds"]):
        return {}
    return dict(zip(place["seeds"], metric.samples, strict=True))
