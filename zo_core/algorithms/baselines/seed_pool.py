"""What a replica of FedKSeed holds beside its weights: the pool and w0, one flat fp32 buffer.

Layout: pool (K), what a method remembers of earlier pools (FedKSeed nothing), w0 (P); memory 2P.
The weights are a function of w0, the pool and the exponents, which only grow: where the result
outgrows a quantum, w0 is taken on the wider grid and replayed on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt

from zo_core import kernels
from zo_core.fixed_point import FixedPointUpdate
from zo_core.grid import Grid, GridError
from zo_core.optimizer import ReplayReport, replay_
from zo_core.parameters import as_numpy_if_possible
from zo_core.replica import Replica, gather, write_

Pool = npt.NDArray[np.float32]  # (K,)


def pool_of(replica: Replica, candidates: int) -> Pool:
    """Return the pool that a replica's weights come from; zeros while they are w0 itself."""
    if replica.shared_state is None:
        return np.zeros(candidates, np.float32)
    return gather([replica.shared_state[:candidates]])


def rebuild_(
    replica: Replica,
    pool: Pool,
    update_of: Callable[[Pool], FixedPointUpdate],
    *,
    history_size: int = 0,
) -> ReplayReport:
    """Set the weights to w0 + sum_j c_j z_j by one replay, and keep the pool that gave c.

    Args:
        replica: its weights are w0 where it keeps no pool yet.
        pool: (K,).
        update_of: turns a pool into the list c_j z_j.
        history_size: numbers that the method keeps between the pool and w0; zeros at first.

    Raises:
        GridError: a weight would leave the grid; the replica is as before.
    """
    replica.changed()
    first, before = replica.shared_state is None, pool_of(replica, pool.size)
    if first:
        history = np.zeros(history_size, np.float32)
        replica.share(gather([before, history, *replica.params.arrays]))
    try:
        report = _replay_origin_(replica, update_of(pool))
    except GridError:
        _replay_origin_(replica, update_of(before))
        replica.shared_state = None if first else replica.shared_state
        raise
    write_(replica.shared_state[: pool.size], pool)
    return report


def _replay_origin_(replica: Replica, update: FixedPointUpdate) -> ReplayReport:
    grid, widened = cast(Grid, replica.grid), list[str]()
    while True:
        _load_origin_(replica, grid)
        report = replay_(replica.params, update, grid)
        widened += report.widened
        if not report.widened:
            return ReplayReport(zero_share=report.zero_share, widened=tuple(widened))


def _load_origin_(replica: Replica, grid: Grid) -> None:
    params, state = replica.params, replica.shared_state
    start = len(state) - params.num_elements
    for array, size in zip(params.arrays, params.sizes, strict=True):
        as_numpy_if_possible(array)[...] = state[start : start + size].reshape(array.shape)
        start += size
    for piece in params.pieces:
        kernels.round_to_quantum(piece, 2.0 ** int(grid.exponents[piece.tensor_index]))
