"""One step of two parts, a zeroth-order and a dense one sent as integers, taken whole or not."""

from __future__ import annotations

from typing import cast

from zo_core.algorithms.base import ApplyReport
from zo_core.federation.replica import Replica
from zo_core.fixed_point import FixedPointUpdate
from zo_core.grid import Grid, GridError
from zo_core.increment import Increment, add_increment_
from zo_core.optimizer import replay_


def mixed_step_(
    replica: Replica, part: Replica, update: FixedPointUpdate | None, increment: Increment
) -> ApplyReport:
    """Take both steps in place, each rounded once, and widen after the second.

    Args:
        replica: all weights, on a grid.
        part: those of them that the zeroth-order step moves; the replica itself for all.
        update: the zeroth-order step; None for none.
        increment: the other step, of all weights.

    Raises:
        GridError: the steps leave the grid; no weight has changed.
    """
    zero_share = None
    if update is not None:
        zero_share = replay_(part.params, update, part.grid, widen=False).zero_share
    try:
        widened = add_increment_(replica.params, increment, cast(Grid, replica.grid))
    except GridError:
        if update is not None:
            replay_(part.params, update.negated(), part.grid, widen=False)
        raise
    replica.changed()
    return ApplyReport(zero_share=zero_share, widened=widened)
