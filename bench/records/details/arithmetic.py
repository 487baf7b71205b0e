"""How exactly a device computes scalars: shared by every kind of record that says so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNoise:
    """The scalar-noise check: one loss evaluated twice, and dL against a float64 forward's."""

    precision: str  # a name in zo_core.config.PRECISIONS, or another library's arithmetic
    directions: int
    repeat_difference: float  # |L(w) - L(w)|, evaluated twice
    relative_rms: float | None  # RMS of dL - dL64 over the RMS of dL64
    scale: float | None = None  # RMS of dL64
    reason: str | None = None  # why there is no relative_rms
    items: int | None = None  # of the batch; None: not recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardArithmetic:
    """How a client without torch computes its forward, as its session reports it."""

    library: str  # with its version
    providers: tuple[str, ...]  # execution providers, in the order in which they are asked
    bfloat16_products: bool  # 64-bit ARM may multiply float32 matrices in bfloat16
    kleidiai: bool  # Arm's KleidiAI kernels take part
    scalar_noise: ScalarNoise
