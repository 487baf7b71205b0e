"""Details of the group edge: clients with and without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundDetails:
    """A client's round."""

    measurement: Mapping[str, Any] | None  # devices.Measurement, and process_peak_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarErrors:
    """Scalars of each back end next to those of a float64 forward."""

    loss_before: float  # of the weights before the warm-up
    loss: float
    rms: float  # of float64's scalars
    error_rms: Mapping[str, float]  # by back end
    correlation: Mapping[str, float]  # by back end
    differences: Mapping[str, tuple[float, ...]]  # the scalars, by back end


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionDetails(ScalarErrors):
    """The scalars of both back ends, with the limits of the metrics."""

    limits: Mapping[str, float]  # a metric must be at most this


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitDetails:
    """The smallest memory limit under which each client completes a round."""

    tried: Mapping[str, tuple[tuple[int, str], ...]]  # by client: limit in bytes, outcome
    whole_round_without_torch: str  # its status under the limit that stops the torch client
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingDetails:
    """Trainings with edge clients, and the same without."""

    digests: tuple[tuple[str, ...], ...]  # hex: by side, then by seed


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagingDetails:
    """What each client needs installed: bytes by distribution."""

    client: Mapping[str, int]
    torch: Mapping[str, int]


EdgeDetails = RoundDetails | PrecisionDetails | LimitDetails | TrainingDetails | PackagingDetails
