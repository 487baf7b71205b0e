"""Applying (seed, scalar) updates in one pass over the weights.

``apply_updates_`` is what every replica does with a round's result.  With a grid it follows rules
6 to 9 of ``zo-grid/1``: integers from start to end, so that the weights' bits do not depend on
order, chunking, threads or device.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zo_core import kernels
from zo_core.fixed_point import FixedPointUpdate, coefficients, fixed_point
from zo_core.kernels.numpy_ref import OFF_GRID
from zo_core.kernels.resumable_pass import Pass, ReplayStats, uninterrupted
from zo_core.numbers import as_updates
from zo_core.off_grid_checks import check_step
from zo_core.parameters import Parameters, Params, parameters
from zo_core.perturbation import perturb_pass
from zo_core.seeds import check_seed
from zo_core.spsa import Terms, check_distribution, radius
from zo_core.weight_grid import MAX_K, MAX_K_IN_ROUND, Grid, GridError, check_grid, widen_from_

_BEYOND_FLOAT32 = 512  # an exponent f of which no step fits


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What a list of updates did to the weights."""

    zero_share: float | None  # weights whose increment rounded to zero; > 0.5: lr is too low
    widened: tuple[str, ...]  # tensors whose quantum was doubled


def apply_updates_(
    params: Params,
    updates: Iterable[tuple[int, float]],
    lr: float,
    *,
    epsilon: float,
    tau: float = 1.0,
    tau_squared: bool = True,
    omegas: Sequence[float] | None = None,
    grid: Grid | None = None,
    distribution: str = "rademacher",
) -> ReplayReport:
    """Take one step along many directions: w += sum_j c_j z_j, in one pass over the weights.

    One call is one round's list and one rounding; never merge lists, never split one.  An interrupt
    that comes meanwhile is raised after the step.

    Args:
        params: a module, or an ordered list of buffers, holding the weights that the scalars were
            computed on.
        updates: (seed, dL) pairs, dL as :func:`zo_core.loss_differences` gives it.
        lr: step size, the product of client and server rate.
        epsilon: finite-difference step that the scalars were computed with.
        tau: scale of z that they were computed with.
        tau_squared: True to multiply the step by tau^2, as the paper does; False to normalise it.
        omegas: omega_j of each update; None for the mean, all ones for the sum.
        grid: the weights' exponents, widened in place where needed; None for plain mode.
        distribution: of the directions; other than "rademacher" they are added one by one.

    Returns:
        The share of zero increments and the tensors widened.

    Raises:
        ValueError: a scalar, seed or hyper-parameter out of range, or a grid with another
            distribution.
        GridError: a weight would leave the grid (the run has diverged); no weight has changed.
        NonFiniteWeightsError: without a grid, the step does not fit the weights' dtype; likewise.
    """
    return uninterrupted(
        update_pass(
            parameters(params),
            updates,
            lr,
            epsilon=epsilon,
            tau=tau,
            tau_squared=tau_squared,
            omegas=omegas,
            grid=grid,
            distribution=distribution,
        )
    )


def update_pass(
    params: Parameters,
    updates: Iterable[tuple[int, float]],
    lr: float,
    *,
    epsilon: float,
    tau: float = 1.0,
    tau_squared: bool = True,
    omegas: Sequence[float] | None = None,
    grid: Grid | None = None,
    distribution: str = "rademacher",
    back: Terms = (),
) -> Pass[ReplayReport]:
    """Prepare :func:`apply_updates_`; calling the result again finishes an interrupted step.

    With `back`, Rademacher only, the pass first leads from a perturbed point to the weights.

    Raises:
        ValueError: as in :func:`apply_updates_`.
        GridError: likewise; no step is taken then.
    """
    updates = as_updates(updates)
    if not updates:
        raise ValueError("updates is empty; a round without participants changes nothing, skip it")
    check_distribution(distribution, grid)
    c = coefficients(
        [difference for _, difference in updates],
        lr=lr,
        rho=radius(epsilon, tau, grid),
        tau=tau,
        tau_squared=tau_squared,
        omegas=omegas,
    )
    seeds = [seed for seed, _ in updates]
    if distribution == "rademacher":
        return list_pass(params, fixed_point(seeds, c), grid, back=back)
    check_step(params, math.fsum(map(abs, c)))
    signed = list(zip(map(check_seed, seeds), c, strict=True))
    run = perturb_pass(params, signed, distribution=distribution)

    def step() -> ReplayReport:
        run()
        return ReplayReport(zero_share=None, widened=())

    return step


def replay_(params: Params, update: FixedPointUpdate, grid: Grid | None) -> ReplayReport:
    """Take the step of one list of integer updates in place; see :func:`list_pass`.

    An interrupt that comes meanwhile is raised after the step.
    """
    return uninterrupted(list_pass(parameters(params), update, grid))


def list_pass(
    params: Parameters,
    update: FixedPointUpdate,
    grid: Grid | None,
    *,
    widen: bool = True,
    back: Terms = (),
) -> Pass[ReplayReport]:
    """Prepare the step of one list of integer updates (zo-grid/1, rules 8 and 9).

    Args:
        params: the weights.
        update: the list; ``update.negated()`` undoes it where nothing was widened.
        grid: the weights' exponents; None for plain mode.
        widen: False where another step follows before the round ends.
        back: added first in the same pass: the way back from a perturbed point.

    Returns:
        The step; calling it again finishes it where an interrupt cut it.

    Raises:
        GridError: a weight would leave the grid; no step is taken then.
    """
    if grid is None:
        check_step(params, _reach(update))
        plain = kernels.replay_pass(params, update, None, back=back)
        return lambda: ReplayReport(zero_share=_zero_share(plain(), params), widened=())
    check_grid(params, grid)
    check_room(params, update, grid, MAX_K if widen else MAX_K_IN_ROUND, back=back)
    before = grid.exponents.copy()
    run = kernels.replay_pass(params, update, before, back=back)

    def step() -> ReplayReport:
        """Both halves: an interrupt between them would leave the weights beyond their grid."""
        stats = run()
        check_range(params, stats)
        largest = [s.max_abs_k for s in stats]
        widened = widen_from_(params, grid, before, largest) if widen else []
        return ReplayReport(zero_share=_zero_share(stats, params), widened=tuple(widened))

    return step


def check_room(
    params: Parameters, update: FixedPointUpdate, grid: Grid, start: int, *, back: Terms = ()
) -> None:
    """Look before a replay whether a weight would leave the grid; cheap where none can.

    Args:
        params: weights on the grid.
        update: the list.
        grid: their exponents.
        start: largest |k| that a weight may have now.
        back: added first, as in :func:`list_pass`.

    Raises:
        GridError: one would, or is not on the grid.
    """
    exponents = grid.exponents.tolist()
    if _may_overflow(update, exponents, start):
        check_range(params, kernels.replay(params, update, exponents, write=False, back=back))


def _may_overflow(update: FixedPointUpdate, exponents: Sequence[int], start: int) -> bool:
    """Tell whether a weight at |k| <= start could pass 2^24; if not, the dry run is saved."""
    return _reach(update) * 2.0 ** -min(exponents) + 1 > MAX_K_IN_ROUND - start


def _reach(update: FixedPointUpdate) -> float:
    """Return the most that a list can move a weight, sum |a_j| 2^f."""
    longest = int(abs(update.a.astype("int64")).sum())
    return math.inf if update.f > _BEYOND_FLOAT32 else math.ldexp(longest, update.f)


def check_range(params: Parameters, stats: Sequence[ReplayStats]) -> None:
    """Raise a GridError unless the statistics are those of weights that stayed on the grid."""
    for name, s in zip(params.names, stats, strict=True):
        if s.max_abs_k >= OFF_GRID:
            raise GridError(
                f"parameter {name!r} holds a weight that is not on its grid; only the engine may "
                "write to the weights after snap_ (take over a snapshot)"
            )
        if s.max_abs_k > MAX_K_IN_ROUND:
            raise GridError(
                f"parameter {name!r} would reach |k| = {s.max_abs_k} > 2^24 in one round; "
                "no weight has changed (lower lr: the run is diverging)"
            )


def _zero_share(stats: Sequence[ReplayStats], params: Parameters) -> float:
    zeros: int = sum(s.zero_increments for s in stats)
    return zeros / params.num_elements
