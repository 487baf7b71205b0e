"""Data sets that need no torch, by name, and who holds which of their items."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zo_core.data.arrays import Arrays
from zo_core.data.dataset import channel_scaling
from zo_core.data.digits import DIGIT_ARRAYS
from zo_core.data.files import Source
from zo_core.data.own_data import is_own_file, own_arrays
from zo_core.data.own_partition import OwnPartition, own_partition
from zo_core.data.partition import Partition, dirichlet_partition
from zo_core.import_by_name import is_own


def load_arrays(name: str) -> Arrays:
    """Load a data set without torch: the digits, or the user's own.

    Raises:
        ValueError: the data set can be had with torch alone.
        FileNotFoundError: it is a file that is not in the current folder.
    """
    if name in DIGIT_ARRAYS:
        (x, y), (x_test, y_test) = DIGIT_ARRAYS[name]()
        scaling = channel_scaling(x)
        return Arrays(x=x, y=y, x_test=x_test, y_test=y_test, clients=None, scaling=scaling)
    if is_own(name) or is_own_file(name):
        return own_arrays(name, Source())
    raise ValueError(
        f"without torch the data set must be one of {', '.join(DIGIT_ARRAYS)}, FILE.npz or "
        f"package.module:factory, got {name!r}; give this device's own data (--data FILE.npz)"
    )


def partition_of(
    groups: npt.NDArray[np.int64],
    owners: npt.NDArray[np.int64] | None,
    *,
    clients: int,
    alpha: float,
    holdout_share: float,
    run_seed: int,
) -> Partition | OwnPartition:
    """Give items to clients: as the data set says, else by a Dirichlet draw.

    Args:
        groups: (items,), what clients differ in.
        owners: (items,), who holds each item; None for a draw.
        clients: their number.
        alpha: of the draw.
        holdout_share: share of each shard that is held out.
        run_seed: the run's seed.

    Raises:
        ValueError: an argument is out of its range, or the data set names another number of
            clients.
    """
    if owners is not None:
        return own_partition(
            owners, clients=clients, holdout_share=holdout_share, run_seed=run_seed
        )
    return dirichlet_partition(
        groups, clients=clients, alpha=alpha, holdout_share=holdout_share, run_seed=run_seed
    )
