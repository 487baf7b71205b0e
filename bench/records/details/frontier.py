"""Details of the group frontier: one variant, with its steps taken in one of several forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One evaluation of a training, means over its seeds."""

    accuracy: float  # share of the test split
    bytes_a_client: float  # payload up and down so far, hand-over and catch-up included
    seconds: float  # rounds so far, each as long as its slowest client's work
    joules: float | None  # of one client that takes part in every round


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCost:
    """What a round of one phase costs a client of one group."""

    phase: int
    method: str
    group: str  # "high" or "low"
    backprop: bool  # whether a gradient was made
    forwards: bool  # whether some forwards had no backward
    peak_bytes: int  # live tensors, weights and the client's data included
    by_category: Mapping[str, int]  # bytes at the peak
    seconds: tuple[float, ...]  # one per repeat
    joules: float | None  # of one round
    joules_reason: str | None  # why joules is None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierDetails:
    """A client's costs, joined with what the training reaches."""

    family: str  # what low-resource clients do, in bench.records.frontier.FAMILIES
    moments: tuple[Moment, ...]
    phase_rounds: tuple[int, ...]
    costs: tuple[ClientCost, ...]
