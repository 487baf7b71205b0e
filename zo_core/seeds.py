"""Derive the seeds of directions, one or a round's: every party derives them, nobody sends them."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from zo_core.philox import Purpose, check_range, philox4x32, philox_rounds, split_seed


def derive_seed(run_seed: int, *, round_index: int, client_id: int, direction: int) -> int:
    """Derive the 64-bit seed of one direction; every party derives it, nobody sends it.

    With several local steps of S directions each, ``direction`` is ``step * S + s``.

    Args:
        run_seed: the run's seed, in [0, 2^64).
        round_index: federated round, in [0, 2^32).
        client_id: the client's slot in the roster, in [0, 2^32).
        direction: number of the direction within the round, in [0, 2^32).

    Returns:
        An integer in [0, 2^64).

    Raises:
        ValueError: an argument is out of its range; nothing is ever masked.

    >>> hex(derive_seed(7, round_index=200, client_id=3, direction=0))
    '0x8b9904c82b75294'
    """
    counter = (
        check_range("round_index", round_index, 32),
        check_range("client_id", client_id, 32),
        check_range("direction", direction, 32),
        int(Purpose.DIRECTION_SEED),
    )
    low, high, _, _ = philox_rounds(counter, split_seed(check_range("run_seed", run_seed, 64)))
    return int(low | high << 32)


def derive_seeds(
    run_seed: int, *, round_index: int, client_id: int, directions: int, step: int = 0
) -> list[int]:
    """Derive the seeds of a local step's S directions: numbers step * S to step * S + S - 1.

    Arguments, range and errors are those of :func:`derive_seed`.
    """
    numbers = range(step * directions, (step + 1) * directions)
    return [
        derive_seed(run_seed, round_index=round_index, client_id=client_id, direction=number)
        for number in numbers
    ]


def derive_round_seeds(
    run_seed: int, *, round_index: int, client_ids: Sequence[int], directions: int
) -> list[int]:
    """Derive the seeds of a round's directions 0 to directions - 1, client after client.

    The same as :func:`derive_seed` of each, in one pass; arguments, range and errors
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


def check_seed(seed: int) -> int:
    """Return a direction's seed as a Python integer.

    Raises:
        ValueError: it is not an integer in [0, 2^64).
    """
    return check_range("seed", seed, 64)


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
