"""Details of the group accuracy: trainings of one variant that differ in their seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.records.details.curve import CurvePoint, PassCounts


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
