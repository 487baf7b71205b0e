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
    peak_bytes: float | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FitCell:
    """One step on one device."""

    device: str
    limit_bytes: int
    model: str
    method: str
    batch: int
    images: int | None
    tensors_bytes: int
    formula_bytes: int
    how: str
    runtime_bytes: int
    trial: FitTrial | None
    predicted_bytes: int
    predicted_fits: bool
    is_near: bool
    agrees: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitDetails:
    """All cells."""

    cells: tuple[FitCell, ...]
