"""Details of the group fit: predictions of what fits, and trials."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FitTrial:
    """One step under a memory limit."""

    status: str
    phase: str | None  # the last that the process reached
    error: str | None
    limit_method: str | None
    enforced_bytes: int  # the limit on the kernel's own counter
    peak_bytes: float | None  # by that counter
    resident_bytes: int | None  # high-water mark of the process
    seconds: float


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
