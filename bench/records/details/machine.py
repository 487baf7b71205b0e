"""Details of the groups that measure this machine: engine, memory, fit, llm, edge and wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.records.details.arithmetic import ForwardArithmetic, ScalarNoise


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDetails:
    """The thresholds of a case's metrics."""

    limits: Mapping[str, float]  # a metric must be at most this
    floors: Mapping[str, float] = field(default_factory=dict)  # a metric must be at least this
    digest: str | None = None  # hex, where the case computes one


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDetails:
    """Every process's reading, and the kinds of tensors at the peak."""

    measurements: tuple[Mapping[str, Any], ...]  # devices.Measurement of each process
    tensor_by_category: Mapping[str, int]  # bytes at the peak; none where tensors were not tracked
    timeline_bytes: tuple[int, ...] = ()  # live tensors in equal parts of the step's operators
    timeline_phases: tuple[str, ...] = ()  # of each part: "forward", "backward" or "update"
    scalar_noise: ScalarNoise | None = None  # of the model's arithmetic; None: not recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeDetails:
    """What the arithmetic of a timed step can carry."""

    scalar_noise: ScalarNoise | None = None  # of the model's arithmetic; None: not recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class FitTrial:
    """One step under a memory limit."""

    status: str  # "ok", "does not fit", or another of devices.IsolatedResult
    phase: str | None  # the last that the process reached
    error: str | None
    limit_method: str | None  # "cgroup v1", "cgroup v2" or "RLIMIT_DATA"
    enforced_bytes: int  # the limit that the kernel enforced on its own counter
    peak_bytes: float | None  # by that counter; None where it has none
    resident_bytes: int | None  # high-water mark of the process; None where it did not end
    seconds: float

    @property
    def fits(self) -> bool | None:
        """Whether the step completed; None where it failed for another reason than memory."""
        return {"ok": True, "does not fit": False}.get(self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitCell:
    """One step on one device."""

    device: str
    limit_bytes: int  # the device's memory, less the reserve
    reserve_bytes: int  # for its operating system
    model: str
    method: str
    batch: int
    images: int | None
    tensors_bytes: int
    formula_bytes: int
    how: str
    runtime_bytes: int
    uncounted_bytes: int | None  # what a control group does not count
    trial: FitTrial | None
    predicted_bytes: int  # resident
    counted_bytes: int | None  # the same as a control group counts it
    verdict: str  # "fits", "tight" or "does not fit"
    is_near: bool
    agrees: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitDetails:
    """All cells."""

    cells: tuple[FitCell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDetails:
    """One step, where it was killed too."""

    region: Mapping[str, Any] | None  # devices.Measurement
    tensor_by_category: Mapping[str, int] | None  # bytes at the peak
    limits: Mapping[str, float]  # a metric must be at most this
    phase: str | None  # the last that the process reached
    limit_method: str | None
    limit_peak_bytes: float | None  # by the limit's counter


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedStep:
    """The tensors of one step at their peak, counted without memory."""

    variant: str  # "forward", or a name in zo_core's BACKPROP
    batch: int
    bytes: int
    weights_bytes: int
    by_category: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitsDetails:
    """Which steps fit on which devices."""

    steps: tuple[PredictedStep, ...]
    fits: Mapping[str, tuple[str, ...]]  # by device: the steps
    memory_bytes: Mapping[str, int]  # by device


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundDetails:
    """A client's round."""

    measurement: Mapping[str, Any] | None  # devices.Measurement, and process_peak_bytes
    arithmetic: ForwardArithmetic | None = None  # of a client without torch


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarErrors:
    """Scalars of each back end next to those of a float64 forward."""

    loss_before: float  # of the weights before the warm-up
    loss: float
    rms: float  # of float64's scalars
    error_rms: Mapping[str, float]  # by back end
    correlation: Mapping[str, float]  # by back end
    differences: Mapping[str, tuple[float, ...]]  # the scalars, by back end
    arithmetic: ForwardArithmetic | None = None  # of the client without torch; None: not recorded


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
    arithmetic: ForwardArithmetic | None = None  # of the client without torch; None: not recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingDetails:
    """Trainings with edge clients, and the same without."""

    digests: tuple[tuple[str, ...], ...]  # hex: by side, then by seed
    arithmetic: tuple[ForwardArithmetic, ...] = ()  # of the clients without torch, by seed


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagingDetails:
    """What each client needs installed: bytes by distribution."""

    client: Mapping[str, int]
    torch: Mapping[str, int]


EdgeDetails = RoundDetails | PrecisionDetails | LimitDetails | TrainingDetails | PackagingDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficDetails:
    """What crossed one client's interface per round, and how the link was set."""

    up: float  # bytes, link-layer headers included
    down: float  # bytes, likewise
    up_packets: float
    down_packets: float
    up_resent_segments: float  # that TCP sent again
    down_resent_segments: float
    mtu: int
    segmentation_offload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDetails:
    """A fleet's run."""

    refused: Mapping[str, int]  # messages, by reason
    events: Mapping[str, int]  # of the clients, by name
    fleet_cpu_s: float
    load_average: float  # before the run


WireDetails = TrafficDetails | FleetDetails
