"""From a round's scalars to integers: rules 6 and 7 of ``zo-grid/1``.

Every replica computes the coefficients in float64 in this order, then turns them into integers
under one exponent.  Integer sums do not depend on their order, so neither do the weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zo_core.numbers import as_number
from zo_core.seeds import check_seeds

MAX_DIRECTIONS = 1 << 24  # below it the sum of |a_j| fits int32


@dataclass(frozen=True, slots=True)
class FixedPointUpdate:
    """One list of updates as integers: direction j moves the weights by a_j * 2^f * z_j."""

    seeds: npt.NDArray[np.uint64]  # (n,)
    a: npt.NDArray[np.int32]  # (n,); the sum of |a| fits int32
    f: int  # binary exponent: that of n * max |c_j|, less 30

    def negated(self) -> FixedPointUpdate:
        """Return the list that undoes this one, as long as nothing was widened in between."""
        return FixedPointUpdate(self.seeds, -self.a, self.f)


def coefficients(
    differences: Sequence[float],
    *,
    lr: float,
    rho: float,
    tau: float = 1.0,
    tau_squared: bool = True,
    omegas: Sequence[float] | None = None,
) -> list[float]:
    """Compute c_j = -((lr * s) * (omega_j * dL_j / (2 rho))) in float64 (rule 6).

    Args:
        differences: dL_j of each direction, float32 values.
        lr: step size, the product of client and server rate.
        rho: finite-difference radius, > 0.
        tau: scale of z; the literal form of the paper multiplies the step by tau^2.
        tau_squared: True for s = tau^2, False for s = 1.
        omegas: omega_j; None for the mean, 1/n each.

    Returns:
        n coefficients of the directions z_j.

    Raises:
        ValueError: a scalar is not finite, or omegas are not one for each direction.
    """
    n = len(differences)
    omegas = [1.0 / n] * n if omegas is None else [float(w) for w in omegas]
    if len(omegas) != n:
        raise ValueError(f"omegas must have one entry for each of {n} updates, got {len(omegas)}")
    scalars = np.array(differences, np.float64)
    if not np.isfinite(scalars).all():
        index = int(np.isfinite(scalars).argmin())
        raise ValueError(f"update {index} has dL = {scalars[index]}; drop it before the replay")
    tau = as_number("tau", tau)
    step = as_number("lr", lr) * (tau * tau if tau_squared else 1.0)
    with np.errstate(over="ignore", invalid="ignore"):  # fixed_point refuses what comes of it
        found = -(step * (np.array(omegas) * (scalars / (2.0 * rho))))
    values: list[float] = found.tolist()
    return values


def fixed_point(seeds: Sequence[int], coefficients: Sequence[float]) -> FixedPointUpdate:
    """Round coefficients to integers under one exponent, a_j = rne(c_j * 2^-f) (rule 7).

    Args:
        seeds: 64-bit seed of each direction.
        coefficients: c_j of each direction, finite.

    Returns:
        The list as integers; all a_j are 0 where all c_j are.

    Raises:
        ValueError: more directions than int32 sums allow, not one seed for each, a seed out of
            range, or a coefficient that is not finite.
    """
    n = len(coefficients)
    if n >= MAX_DIRECTIONS:
        raise ValueError(f"a list holds fewer than 2^24 directions, got {n}; split the round")
    if len(seeds) != n:
        raise ValueError(f"there must be one seed for each of {n} coefficients, got {len(seeds)}")
    c = np.array(coefficients, np.float64)
    total = n * float(np.abs(c).max(initial=0.0))  # NaN where any is
    if not math.isfinite(total):
        raise ValueError("a coefficient is not finite, or nearly so; lower lr, or check omegas")
    f = math.frexp(total)[1] - 30
    return FixedPointUpdate(
        seeds=check_seeds(seeds),
        a=np.rint(np.ldexp(c, -f)).astype(np.int32),
        f=f,
    )
