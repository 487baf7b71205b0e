"""Details of the group accuracy, and the curves that all groups of trainings share."""

from __future__ import annotations

from collections.abc import Mapping
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
    test_loss: float | None = None  # nats per answer token; of language models
    holdout_loss: float | None = None  # likewise, over all clients' pooled hold-outs


@dataclass(frozen=True, slots=True, kw_only=True)
class PassCounts:
    """Items through the model, all clients."""

    forward_items: int
    backward_items: int

    @property
    def items(self) -> int:
        """Passes in forwards: a backward counts as two."""
        return self.forward_items + 2 * self.backward_items


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyDetails:
    """One entry per seed in each field."""

    seeds: tuple[int, ...]
    curves: tuple[tuple[CurvePoint, ...], ...]
    outcomes: tuple[str, ...]  # "finished" or "diverged"
    reasons: tuple[str | None, ...]  # why a training diverged
    digests: tuple[str | None, ...]  # hex, of the final state
    seconds_by_method: tuple[Mapping[str, float], ...] = ()
    passes_by_method: tuple[Mapping[str, PassCounts], ...] = ()
