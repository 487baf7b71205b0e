"""What an arithmetic adds to zeroth-order scalars, and when it is too much; needs no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

MAX_NOISE: Final = 0.1  # above it an arithmetic is refused
SEED_ROUND: Final = (1 << 32) - 1  # of the directions' seeds: a round that no run has


class PrecisionError(ValueError):
    """A precision is too coarse for zeroth-order training on this model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNoise:
    """What the arithmetic adds to a model's scalars."""

    precision: str  # a name in PRECISIONS
    directions: int
    repeat_difference: float  # |L(w) - L(w)|, evaluated twice
    relative_rms: float | None  # RMS of dL - dL64 over the RMS of dL64
    scale: float | None = None  # RMS of dL64
    reason: str | None = None  # why there is no relative_rms
    items: int  # of the batch

    def check(self, *, force: bool) -> None:
        """Refuse a precision other than fp32 that is too coarse, or bf16 where nobody can tell.

        Raises:
            PrecisionError: it is, and is not forced.
        """
        unknown = self.relative_rms is None
        coarse = self.precision == "bf16" if unknown else (self.relative_rms or 0.0) > MAX_NOISE
        if self.precision == "fp32" or force or not coarse:
            return
        found = self.reason if unknown else f"{self.relative_rms:.0%} RMS of dL against float64"
        raise PrecisionError(
            f"precision {self.precision} must have a scalar noise of at most {MAX_NOISE:.0%}, got "
            f"{found}; use --precision tf32 or fp32, or --force to train anyway"
        )


def relative_noise(found: Sequence[float], exact: Sequence[float]) -> tuple[float | None, float]:
    """Return the error's RMS over the exact scalars' RMS, None where the latter is 0; and that RMS.

    Args:
        found: dL of the arithmetic, one for each direction.
        exact: dL of a float64 forward along the same directions.
    """
    truth = np.asarray(exact, np.float64)
    scale = math.sqrt(float(np.square(truth).mean()))
    error = math.sqrt(float(np.square(np.asarray(found, np.float64) - truth).mean()))
    return (error / scale if scale > 0.0 else None), scale


def as_json(noise: ScalarNoise | None) -> dict[str, Any] | None:
    """Return plain JSON data for a record."""
    if noise is None:
        return None
    return {name: getattr(noise, name) for name in ScalarNoise.__slots__}
