"""Details of the group frontier: one variant, its steps taken in one of several forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.records.details.accuracy import CurvePoint


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
    """A client's costs, and the training's curves where no accuracy record has them."""

    family: str  # what low-resource clients do, in bench.records.frontier.FAMILIES
    phase_rounds: tuple[int, ...]
    costs: tuple[ClientCost, ...]
    curves: tuple[tuple[CurvePoint, ...], ...] = ()  # by seed
