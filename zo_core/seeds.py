"""All seeds of a round at once: each client needs those of its whole cohort."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from zo_core.stream import Purpose, check_seed, derive_seed, philox4x32, split_seed


def derive_round_seeds(
    run_seed: int, *, round_index: int, client_ids: Sequence[int], directions: int
) -> list[int]:
    """Derive the seeds of a round's directions 0 to directions - 1, client after client.

    The same as :func:`zo_core.stream.derive_seed` of each, in one pass; arguments, range and errors
    are its own.
    """
    clients = list(map(operator.index, client_ids))
    for client in {min(clients, default=0), max(clients, default=0)}:  # for its errors
        derive_seed(run_seed, round_index=round_index, client_id=client, direction=directions)
    low, high, _, _ = philox4x32(
        (
            round_index,
            np.array(clients, np.uint64).repeat(directions),
            np.tile(np.arange(directions, dtype=np.uint64), len(clients)),
            int(Purpose.DIRECTION_SEED),
        ),
        split_seed(run_seed),
    )
    seeds: list[int] = (low | high.astype(np.uint64) << np.uint64(32)).tolist()
    return seeds


def check_seeds(seeds: Sequence[int]) -> npt.NDArray[np.uint64]:
    """Return directions' seeds as an array.

    Raises:
        ValueError: one of them is not an integer in [0, 2^64).
    """
    if set(map(type, seeds)) != {int}:  # each is looked at by itself, which is slow
        seeds = [check_seed(seed) for seed in seeds]
    for seed in {min(seeds, default=0), max(seeds, default=0)}:
        check_seed(seed)
    return np.array(seeds, dtype=np.uint64)
