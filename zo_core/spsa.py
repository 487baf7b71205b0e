"""Two forwards to one scalar: simultaneous perturbation (SPSA) along seeded directions.

The scalar of one direction is dL = L(w + rho z) - L(w - rho z), losses in float64, the difference
rounded once to float32.  Its projected gradient is dL / (2 rho) (Spall 1992; MeZO, Malladi et al.,
arXiv 2305.17333; ZOWarmUp, Legate et al., arXiv 2509.03503, eq. 2).
Other differences that are used in its place: :mod:`zo_core.estimators`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from zo_core.estimators import LossFn, estimator_named
from zo_core.kernels.resumable_pass import Pass, finish
from zo_core.numbers import as_number
from zo_core.off_grid_checks import check_perturbation
from zo_core.parameters import Parameters, Params, parameters
from zo_core.perturbation import perturb_pass
from zo_core.seeds import check_seed
from zo_core.weight_grid import Grid, as_positive, check_grid

PhaseObserver = Callable[[str], None]  # called with the name of each phase when it ends
Terms: TypeAlias = Sequence[tuple[int, float]]  # (seed, scale) pairs
Differences: TypeAlias = npt.NDArray[np.float32]
T = TypeVar("T")


class NonFiniteLossError(ArithmeticError):
    """A loss was nan or infinite; the weights had been restored before this was raised."""


def projected_gradient(
    loss_fn: LossFn,
    params: Params,
    seed: int,
    *,
    epsilon: float,
    tau: float = 1.0,
    grid: Grid | None = None,
) -> float:
    """Estimate the slope of the loss along z(seed) from two forwards.

    The weights are perturbed in place and restored: to the bit with a grid, nearly without.  They
    are restored as well where loss_fn raises, and where an interrupt comes at any moment.

    Args:
        loss_fn: returns the loss at the present weights; called twice.
        params: a module, or an ordered list of buffers.
        seed: the direction's seed.
        epsilon: finite-difference step, > 0.
        tau: scale of z, > 0; the radius is epsilon * tau.
        grid: the weights' exponents from :func:`zo_core.snap_`; None for plain mode.

    Returns:
        dL / (2 rho), which is z . grad up to terms of order rho^2.

    Raises:
        ValueError: epsilon or tau is not > 0, or params cannot be perturbed.
        NonFiniteLossError: a loss was not finite.

    >>> import numpy as np
    >>> w = np.array([3.0, 4.0])
    >>> projected_gradient(lambda: float(w @ w) / 2, [w], seed=1, epsilon=0.25)
    7.0
    """
    difference = loss_differences(loss_fn, params, [seed], epsilon=epsilon, tau=tau, grid=grid)[0]
    return float(difference) / (2.0 * radius(epsilon, tau, grid))


def loss_differences(
    loss_fn: LossFn,
    params: Params,
    seeds: Sequence[int],
    *,
    epsilon: float,
    tau: float = 1.0,
    grid: Grid | None = None,
    distribution: str = "rademacher",
    estimator: str = "central",
    observe: PhaseObserver | None = None,
) -> npt.NDArray[np.float32]:
    """Compute dL of S directions: 2S forwards and 2S + 1 passes over the weights, or S + 1 of each.

    Args:
        loss_fn: returns the loss at the present weights; called once for each forward.
        params: a module, or an ordered list of buffers.
        seeds: one for each direction.
        epsilon: finite-difference step, > 0.
        tau: scale of z, > 0.
        grid: the weights' exponents; None for plain mode.
        distribution: of z; a grid allows only "rademacher".
        estimator: a name in ESTIMATORS of zo_core.estimators.
        observe: called with "perturb", "forward", "re-perturb" or "restore" as each phase ends.

    Returns:
        float32 array of shape (S,): what a client sends.

    Raises:
        ValueError: as :func:`projected_gradient`, a grid with another distribution, or an estimator
            that is unknown or needs more directions.
        NonFiniteLossError: a loss was not finite.
        NonFiniteWeightsError: without a grid, a weight was not finite at the first call.
    """
    walk = _Walk(parameters(params), distribution, observe or _ignore)

    def restored(differences: Differences) -> Differences:
        walk.restore()
        return differences

    along = _Along(seeds, epsilon, tau, grid, estimator)
    return _estimate(walk, loss_fn, along, restored)


def step_along(
    loss_fn: LossFn,
    params: Params,
    seeds: Sequence[int],
    step: Callable[[Differences, Terms], Pass[T]],
    *,
    epsilon: float,
    tau: float = 1.0,
    grid: Grid | None = None,
) -> T:
    """Compute dL of S Rademacher directions and take a step: one pass less than one by one.

    The bits are those of :func:`loss_differences` and then the step.

    Args:
        loss_fn: as in :func:`loss_differences`.
        params: likewise.
        seeds: likewise.
        step: given the scalars and the way back from the perturbed point, prepares a pass that
            takes both; where it raises, the weights are restored.
        epsilon: finite-difference step, > 0.
        tau: scale of z, > 0.
        grid: the weights' exponents; None for plain mode.

    Returns:
        What the step returns.

    Raises:
        ValueError: as :func:`loss_differences`.
        NonFiniteLossError: likewise.
    """
    walk = _Walk(parameters(params), "rademacher", _ignore)
    along = _Along(seeds, epsilon, tau, grid, "central")
    return _estimate(walk, loss_fn, along, lambda found: walk.leave(step(found, walk.way_back())))


def radius(epsilon: float, tau: float, grid: Grid | None) -> float:
    """Return rho: epsilon * tau, rounded to the grid where there is one (zo-grid/1, rule 4)."""
    if grid is not None:
        return grid.radius(epsilon, tau)
    return as_positive("epsilon", epsilon) * as_positive("tau", tau)


def check_distribution(distribution: str, grid: Grid | None) -> None:
    """Raise a ValueError where the weights are on a grid and the directions would leave it."""
    if grid is not None and distribution != "rademacher":
        raise ValueError(
            f"grid mode restores Rademacher directions only, got {distribution!r}; "
            "use plain mode (grid=None)"
        )


@dataclass(frozen=True, slots=True)
class _Along:
    """Along what, how far and how losses are compared."""

    seeds: Sequence[int]
    epsilon: float
    tau: float
    grid: Grid | None
    estimator: str


def _estimate(walk: _Walk, loss_fn: LossFn, along: _Along, end: Callable[[Differences], T]) -> T:
    """Walk along the directions and come to an end that leaves the perturbed point."""
    seeds, rho = _checked(walk, along)
    estimate = estimator_named(along.estimator, directions=len(seeds))
    differences = np.empty(len(seeds), dtype=np.float32)
    try:
        for index, difference in enumerate(estimate(walk, loss_fn, seeds, rho)):
            with np.errstate(over="ignore"):
                differences[index] = np.float32(difference)
            walk.require_finite("difference of losses", float(differences[index]))
        return end(differences)
    except BaseException:
        finish(walk.restore)
        raise


def _checked(walk: _Walk, along: _Along) -> tuple[list[int], float]:
    """Check what a walk is given; return its seeds and its radius."""
    check_grid(walk.params, along.grid)
    check_distribution(walk.distribution, along.grid)
    if not isinstance(along.seeds, Iterable):
        raise ValueError(f"seeds must be a list of seeds, got {along.seeds!r}; put it in a list")
    seeds = [check_seed(seed) for seed in along.seeds]
    rho = radius(along.epsilon, along.tau, along.grid)
    if along.grid is None:
        check_perturbation(walk.params, rho)
    return seeds, rho


@dataclass(frozen=True, slots=True)
class _Move:
    """A pass that takes the weights to offset * z(seed) from where they were."""

    seed: int
    offset: float
    run: Pass[object]


class _Walk:
    """Moves the weights away from where they were, and back.

    A move is noted before its pass runs.  Where the weights are follows from that one record: at
    the move's end, once its pass is finished.
    """

    def __init__(self, params: Parameters, distribution: str, observe: PhaseObserver) -> None:
        self.params = params
        self.distribution = distribution
        self._observe = observe
        self._last = _Move(0, 0.0, _nothing)

    def move_to(self, seed: int, offset: float) -> None:
        """Go to offset * z(seed) in one pass, back through the start for another direction."""
        at, phase = self._last, "perturb"
        if at.offset == 0.0:
            terms = [(seed, offset)]
        elif seed == at.seed:
            terms = [(seed, offset - at.offset)]
            phase = "re-perturb"
        else:
            terms = [(at.seed, -at.offset), (seed, offset)]
        self._go(terms, seed, offset)
        self._observe(phase)

    def forward(self, loss_fn: LossFn) -> float:
        loss = as_number("the loss", loss_fn())
        self._observe("forward")
        self.require_finite("loss", loss)
        return loss

    def require_finite(self, what: str, value: float) -> None:
        """Raise a NonFiniteLossError unless the value is finite; the caller restores on the way."""
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"the {what} along direction {self._last.seed:#x} is {value}; "
                "the weights are restored (check the data, or lower epsilon)"
            )

    def restore(self) -> None:
        """Finish a move that was interrupted and go back to the start; once there, do nothing."""
        self._last.run()
        if back := self.way_back():
            self._go(back, self._last.seed, 0.0)
            self._observe("restore")

    def way_back(self) -> list[tuple[int, float]]:
        """Return the terms that lead from here to the start; none at the start."""
        at = self._last
        return [(at.seed, -at.offset)] if at.offset != 0.0 else []

    def leave(self, run: Pass[T]) -> T:
        """Go the way back in a pass that goes further; the start is then where it ends."""
        self._last = _Move(self._last.seed, 0.0, run)
        return run()

    def _go(self, terms: list[tuple[int, float]], seed: int, offset: float) -> None:
        run = perturb_pass(self.params, terms, distribution=self.distribution)
        self._last = _Move(seed, offset, run)
        run()


def _nothing() -> None:
    pass


def _ignore(_phase: str) -> None:
    pass
