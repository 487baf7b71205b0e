"""What a replica of FedKSeed keeps next to its weights: the pool and w0; memory 2P.

The weights are a function of w0, the pool and the exponents, which only grow: where the result
outgrows a quantum, w0 is taken on the wider grid and replayed on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from zo_core import kernels
from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels.resumable_pass import uninterrupted
from zo_core.optimizer import ReplayReport, replay_
from zo_core.parameters import as_numpy_if_possible
from zo_core.replica import Replica, gather, write_
from zo_core.state import MethodState, state_as
from zo_core.weight_grid import Grid, GridError

Pool = npt.NDArray[np.float32]  # (K,)


@dataclass(frozen=True)
class PoolState(MethodState):
    """A pool and the weights that it starts from."""

    pool: Any  # (K,)
    history: Any  # what a method remembers of earlier pools; of FedKSeed nothing
    origin: Any  # w0, (P,)

    @classmethod
    def of(cls, replica: Replica, candidates: int, history_size: int) -> PoolState | None:
        """Read a replica's state; None while its weights are w0 itself."""
        sizes = (candidates, history_size, replica.params.num_elements)
        return state_as(cls, replica.shared_state, sizes)


def pool_of(state: PoolState | None, candidates: int) -> Pool:
    """Return the pool that a replica's weights come from; zeros while they are w0 itself."""
    return np.zeros(candidates, np.float32) if state is None else gather([state.pool])


def rebuild_(
    replica: Replica,
    pool: Pool,
    update_of: Callable[[Pool], FixedPointUpdate],
    *,
    history: npt.NDArray[np.float32],
) -> ReplayReport:
    """Set the weights to w0 + sum_j c_j z_j by one replay, and keep the pool that gave c.

    Weights that an interrupt cuts are rebuilt from w0 again; it is raised after that.

    Args:
        replica: its weights are w0 where it keeps no pool yet.
        pool: (K,).
        update_of: turns a pool into the list c_j z_j.
        history: what the method keeps with the pool; of one length for all pools.

    Raises:
        GridError: a weight would leave the grid; the replica is as before.
    """
    kept = PoolState.of(replica, pool.size, history.size)
    state = kept or _first_state(replica, pool.size, history.size)
    lists = update_of(pool), update_of(pool_of(kept, pool.size))
    before = cast(Grid, replica.grid).copy()

    def step() -> ReplayReport | GridError:
        try:
            report = _replay_origin_(replica, state, lists[0], before)
        except GridError as error:
            cast(Grid, replica.grid).exponents[...] = before.exponents
            _replay_origin_(replica, state, lists[1], before)
            return error
        write_(state.pool, pool)
        write_(state.history, history)
        replica.shared_state = state
        return report

    replica.invalidate_digest()
    found = uninterrupted(step)
    if isinstance(found, GridError):
        raise found
    return found


def _first_state(replica: Replica, candidates: int, history_size: int) -> PoolState:
    zeros = (np.zeros(size, np.float32) for size in (candidates, history_size))
    values = (*zeros, gather(replica.params.arrays))
    return PoolState(*map(replica.beside_weights, values))


def _replay_origin_(
    replica: Replica, state: PoolState, update: FixedPointUpdate, before: Grid
) -> ReplayReport:
    """Replay a list on w0, on wider grids until it fits; can be called again at any moment."""
    grid, report = cast(Grid, replica.grid), None
    while report is None or report.widened:
        _load_origin_(replica, state, grid)
        report = replay_(replica.params, update, grid)
    doublings = (grid.exponents - before.exponents).tolist()
    named = zip(replica.params.names, doublings, strict=True)
    widened = tuple(name for name, times in named for _ in range(times))
    return ReplayReport(zero_share=report.zero_share, widened=widened)


def _load_origin_(replica: Replica, state: PoolState, grid: Grid) -> None:
    params, start = replica.params, 0
    for array, size in zip(params.arrays, params.sizes, strict=True):
        as_numpy_if_possible(array)[...] = state.origin[start : start + size].reshape(array.shape)
        start += size
    for span in params.spans:
        kernels.round_to_quantum(span, 2.0 ** int(grid.exponents[span.tensor_index]))
