"""Paired differences in words: the interval, and what it shows."""

from __future__ import annotations

from bench.format import points
from bench.labels import label
from bench.records.paired import PairedDifference


def verdict(difference: PairedDifference, first: str = "zowarmup") -> str:
    """Say what a paired difference shows.

    Args:
        difference: first algorithm minus second.
        first: name of the first algorithm.
    """
    return {
        None: "too few seeds for an interval",
        1: f"{label(first)} is significantly better",
        -1: f"{label(first)} is significantly worse",
        0: "inconclusive: the interval includes 0",
    }[difference.sign]


def interval_text(difference: PairedDifference) -> str:
    """Write the 95 % interval in percentage points, or why there is none."""
    if difference.interval is None:
        return "needs three seeds"
    return " to ".join(points(end) for end in difference.interval)
