"""Several zeroth-order steps on one client between two rounds: rule 10 of ``zo-grid/1``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType

import numpy as np
import numpy.typing as npt

from zo_core import kernels
from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels.resumable_pass import Pass, ReplayStats, uninterrupted
from zo_core.optimizer import check_range, check_room
from zo_core.parameters import Parameters
from zo_core.philox import Purpose, random_permutation
from zo_core.weight_grid import MAX_K_IN_ROUND, Grid, GridError


@dataclass(frozen=True, slots=True)
class _Step:
    """A step and its inverse; both can be continued where an interrupt cut them."""

    forth: Pass[list[ReplayStats]]
    back: Pass[list[ReplayStats]]


class LocalSteps:
    """Steps on the grid that are taken back at the context's end: negated, in reverse order.

    Nothing is widened meanwhile, so no exponent changes and no copy of the weights is needed.  A
    step is noted before it is taken, so that an interrupted one is taken back as well.

    Args:
        params: weights on the grid.
        grid: their exponents; None for plain mode, where no step can be taken.
    """

    def __init__(self, params: Parameters, grid: Grid | None) -> None:
        self._params = params
        self._grid = grid
        self._taken: list[_Step] = []

    def __enter__(self) -> LocalSteps:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        uninterrupted(self.take_back_)

    def take_(self, update: FixedPointUpdate, rho: float) -> None:
        """Take a step after which the weights will be perturbed by rho.

        Raises:
            GridError: a weight would leave the grid, or come so near to its end that w + rho or
                w - rho would.
            ValueError: plain mode, whose steps cannot be taken back to the bit.
        """
        if self._grid is None:
            raise ValueError("local steps need weights on a grid; take one step a round")
        check_room(self._params, update, self._grid, MAX_K_IN_ROUND)
        step = _Step(self._pass(update), self._pass(update.negated()))
        self._taken.append(step)
        check_range(self._params, step.forth())
        self._require_room(self._grid, rho)

    def take_back_(self) -> None:
        """Return to the weights of the context's start; calling it again changes nothing.

        Call it as the context's last statement: an interrupt as the context ends finds nothing left
        to do then.
        """
        while self._taken:
            step = self._taken[-1]
            step.forth()
            step.back()
            self._taken.pop()

    def _pass(self, update: FixedPointUpdate) -> Pass[list[ReplayStats]]:
        exponents = None if self._grid is None else self._grid.exponents
        return kernels.replay_pass(self._params, update, exponents)

    def _require_room(self, grid: Grid, rho: float) -> None:
        for span in self._params.spans:
            end = math.ldexp(MAX_K_IN_ROUND, int(grid.exponents[span.tensor_index]))
            if kernels.max_abs(span) + rho > end:
                raise GridError(
                    f"parameter {self._params.names[span.tensor_index]!r} has grown to the end of "
                    "its grid within a client's local steps (lower lr: the run is diverging)"
                )


def step_items(
    items: int, steps: int, *, run_seed: int, round_index: int, client_id: int
) -> list[npt.NDArray[np.int64]]:
    """Divide a client's items among its local steps, as the paper's Table 3 divides the batch.

    Args:
        items: number of the client's items, >= 1.
        steps: local steps, >= 1.
        run_seed: the run's seed; the order follows from it, the round and the client.
        round_index: federated round.
        client_id: the client's slot.

    Returns:
        Positions for each step: all items in order for one step, else equal parts of a shuffle;
        with more steps than items, one item each.
    """
    if steps == 1:
        return [np.arange(items)]
    order = random_permutation(run_seed, Purpose.SHUFFLE, items, a=round_index, b=client_id)
    starts = [step * items // steps for step in range(steps + 1)]
    return [order[start : max(end, start + 1)] for start, end in pairwise(starts)]
