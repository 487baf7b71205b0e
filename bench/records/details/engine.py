"""Details of the group engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDetails:
    """The thresholds of a case's metrics."""

    limits: Mapping[str, float]  # a metric must be at most this
    floors: Mapping[str, float] = field(default_factory=dict)  # a metric must be at least this
    digest: str | None = None  # hex, where the case computes one
