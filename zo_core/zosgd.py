"""ZO-SGD on buffers of any kind: the engine under :class:`zo_core.torch.ZOSGD`.

A step is what it is in MeZO (Malladi et al., arXiv 2305.17333) with Rademacher directions: the
mean over S directions of dL / (2 rho) times z, from 2 S forwards.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from zo_core.estimators import LossFn
from zo_core.kernels.resumable_pass import Pass, uninterrupted
from zo_core.numbers import as_count, as_number
from zo_core.optimizer import ReplayReport, update_pass
from zo_core.parameters import Parameters, Params, parameters
from zo_core.seeds import derive_seeds
from zo_core.spsa import Differences, Terms, loss_differences, step_along
from zo_core.update_log import UpdateLog, Updates
from zo_core.weight_grid import Grid

EPSILON = 1e-3  # MeZO's
_FIRST_LOOK = 10  # steps
_REPORTED_SHARE = 0.5  # of increments that round to zero (zo-grid/1, rule 13)
_log = logging.getLogger("zo_core.zosgd")


class ZOSGD:
    """Train buffers on one machine by forward passes only; needs NumPy, not torch.

    Args:
        params: a module, or an ordered list of torch tensors or NumPy arrays.
        lr: step size; one per group where there are groups.
        epsilon: finite-difference step, > 0.
        tau: scale of the directions, > 0; the step scales with tau^2.
        directions: S, directions per estimate.
        run_seed: the seed that all directions are derived from.
        grid: the weights' exponents from :func:`zo_core.snap_`; None for plain mode.
        group_of: the group of each tensor, in stream order; None for one group.
        log: records each step; it must be of these weights (:func:`zo_core.update_log.start_log`).
        steps_taken: steps before this one, when a run is resumed.

    >>> import numpy as np
    >>> w = np.full(8, 0.5, dtype=np.float32)
    >>> optimizer = ZOSGD([w], lr=0.05, directions=4)
    >>> for _ in range(200):
    ...     _ = optimizer.step(lambda: float(w.astype(np.float64) @ w))
    >>> bool(abs(w).max() < 0.01)
    True
    """

    def __init__(
        self,
        params: Params,
        *,
        lr: float | Sequence[float],
        epsilon: float = EPSILON,
        tau: float = 1.0,
        directions: int = 1,
        run_seed: int = 0,
        grid: Grid | None = None,
        group_of: Sequence[int] | None = None,
        log: UpdateLog | None = None,
        steps_taken: int = 0,
    ) -> None:
        self.params = parameters(params)
        given = lr if isinstance(lr, Sequence) else np.atleast_1d(lr).tolist()
        self.rates = [as_number("lr", each) for each in given]  # of each group
        self.epsilon = epsilon
        self.tau = tau
        self.directions = as_count("directions", directions)
        self.run_seed = run_seed
        self.grid = grid
        self.log = log
        self.steps_taken = steps_taken
        self._parts = group_parts(self.params, group_of, len(self.rates))
        self._pending: Updates = []
        self._zeros = ZeroShares()
        self._is_moving = True  # whether some loss has differed, until it is reported

    def step(self, loss_fn: LossFn) -> Updates:
        """Take one step of 2 * directions forwards; return its (seed, dL) pairs.

        The bits are those of :meth:`estimate` and :meth:`apply`, in one pass over the weights less.
        """
        self.clear()
        seeds = self._next_seeds()
        updates: Updates = []

        def prepare(differences: Differences, back: Terms) -> Pass[ReplayReport]:
            updates.extend(self._add(seeds, differences))
            return self._prepared(back)

        report = step_along(
            loss_fn,
            self.params,
            seeds,
            prepare,
            epsilon=self.epsilon,
            tau=self.tau,
            grid=self.grid,
        )
        self._note(report)
        return updates

    def estimate(self, loss_fn: LossFn) -> Updates:
        """Compute dL of S more directions for the next step; the weights stay where they are.

        Several estimates before a step, of several batches, count alike in its mean.

        Args:
            loss_fn: returns the loss at the present weights; called 2 * directions times.

        Returns:
            The new (seed, dL) pairs.
        """
        seeds = self._next_seeds()
        differences = loss_differences(
            loss_fn, self.params, seeds, epsilon=self.epsilon, tau=self.tau, grid=self.grid
        )
        return self._add(seeds, differences)

    def apply(self) -> ReplayReport:
        """Take the step of all estimates since the last one.

        Raises:
            ValueError: there is no estimate.
            GridError: a weight would leave the grid; no weight has changed.
        """
        return self._note(uninterrupted(self._prepared(())))

    def clear(self) -> None:
        """Drop the estimates since the last step."""
        self._pending = []

    def _next_seeds(self) -> list[int]:
        return derive_seeds(
            self.run_seed,
            round_index=self.steps_taken,
            client_id=0,
            directions=self.directions,
            step=len(self._pending) // self.directions,
        )

    def _add(self, seeds: Sequence[int], differences: Differences) -> Updates:
        """Add an estimate to those of the next step; return its (seed, dL) pairs."""
        updates = list(zip(seeds, map(float, differences), strict=True))
        self._report_constant(updates)
        self._pending = [*self._pending, *updates]
        return updates

    def _prepared(self, back: Terms) -> Pass[ReplayReport]:
        """Prepare the step of all estimates, from the perturbed point that `back` leads from."""
        take = grouped_pass(
            self._parts,
            self._pending,
            self.rates,
            epsilon=self.epsilon,
            tau=self.tau,
            grid=self.grid,
            back=back,
        )
        return partial(self._advance, take, self.steps_taken + 1)

    def _note(self, report: ReplayReport) -> ReplayReport:
        if self.grid is not None:
            self._zeros.add(report.zero_share)
        return report

    def _report_constant(self, updates: Updates) -> None:
        """Warn, once, where no direction changes the loss at all."""
        if self._is_moving and not any(difference for _, difference in updates):
            self._is_moving = False
            _log.warning(
                "the loss is the same at both ends of all %d directions, so this step trains "
                "nothing: check that the loss evaluates the weights that the optimizer was given",
                len(updates),
            )

    def _advance(self, take: Pass[ReplayReport], steps_taken: int) -> ReplayReport:
        """Change weights, log and count together: a step not counted would be taken again."""
        report = take()
        if self.log is not None and self._pending:
            self.log.write_step(steps_taken - 1, self._pending, self.rates)
        self.steps_taken = steps_taken
        self._pending = []
        return report


class ZeroShares:
    """Warns if the increments of many steps round to zero; the end of a schedule may do so."""

    def __init__(self) -> None:
        self._steps, self._sum, self._next_look = 0, 0.0, _FIRST_LOOK

    def add(self, share: float | None) -> None:
        """Note a step's share; after 10, 100, 1,000 ... steps, look at the mean."""
        self._steps += 1
        self._sum += share or 0.0
        if self._steps < self._next_look:
            return
        self._next_look *= 10
        mean = self._sum / self._steps
        if mean > _REPORTED_SHARE:
            _log.warning(
                "%.0f %% of the increments of %d steps round to zero on the grid; raise lr",
                100 * mean,
                self._steps,
            )


def group_parts(
    params: Parameters, group_of: Sequence[int] | None, num_groups: int
) -> list[Parameters]:
    """Split weights by group; each part keeps its tensors' numbers in the stream.

    Args:
        params: the weights.
        group_of: the group of each tensor; None for one group.
        num_groups: number of groups; one may be empty.

    Raises:
        ValueError: not one group per tensor.
    """
    if group_of is None:
        return [params]
    if len(group_of) != len(params.arrays):
        raise ValueError(
            f"group_of must have one group for each of {len(params.arrays)} tensors, got "
            f"{len(group_of)}"
        )
    return [
        replace(params, part=frozenset(i for i, own in enumerate(group_of) if own == number))
        for number in range(num_groups)
    ]


def grouped_pass(
    parts: Sequence[Parameters],
    updates: Updates,
    rates: Sequence[float],
    *,
    epsilon: float,
    tau: float,
    grid: Grid | None,
    back: Terms = (),
) -> Pass[ReplayReport]:
    """Prepare one step in which each group of tensors has its own rate.

    Args:
        parts: the groups, see :func:`group_parts`.
        updates: (seed, dL) pairs; their mean is applied.
        rates: one per group.
        epsilon: finite-difference step of the scalars.
        tau: scale of z that they were computed with.
        grid: the weights' exponents, widened in place where needed; None for plain mode.
        back: added first in the same pass: the way back from a perturbed point.

    Returns:
        The step; calling it again finishes it where an interrupt cut it.

    Raises:
        ValueError: not one rate per group, or as in :func:`zo_core.apply_updates_`.
        GridError: a weight would leave the grid; no weight has changed.
    """
    if len(rates) != len(parts):
        raise ValueError(f"lr must have one value for each of {len(parts)} groups, got {rates}")
    passes = [
        update_pass(part, updates, lr, epsilon=epsilon, tau=tau, grid=grid, back=back)
        for part, lr in zip(parts, rates, strict=True)
    ]

    def take() -> ReplayReport:
        reports = [run() for run in passes]
        shares = [report.zero_share for report in reports if report.zero_share is not None]
        return ReplayReport(
            zero_share=sum(shares) if len(shares) == len(reports) else None,
            widened=tuple(name for report in reports for name in report.widened),
        )

    return take
