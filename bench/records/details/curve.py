"""What whole trainings share: points of a curve, and passes through the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """Accuracy and cumulative cost of a training after some rounds."""

    rounds_done: int
    test_accuracy: float  # share of the test split
    high_accuracy: float | None  # share of the high-resource clients' hold-outs
    low_accuracy: float | None  # share of the low-resource clients' hold-outs
    worst_decile_accuracy: float | None = None
    up_payload_bytes: int  # all clients
    down_payload_bytes: int  # all clients, hand-over included
    item_passes: int | None = None  # all clients; a backward counts as two forwards
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PassCounts:
    """Items through the model, all clients."""

    forward_items: int
    backward_items: int
