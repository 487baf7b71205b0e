"""The choice of a round's cohort: which clients take part."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from zo_core.philox import Purpose, random_permutation


def sample_cohort(
    run_seed: int, round_index: int, pool: Sequence[int], cohort_size: int
) -> tuple[int, ...]:
    """Draw a round's cohort from a pool; every party derives the same one.

    Args:
        run_seed: the run's seed.
        round_index: federated round.
        pool: slots that may be drawn, ascending.
        cohort_size: how many; the whole pool where it is smaller.

    Returns:
        Slots, ascending.
    """
    if cohort_size >= len(pool):
        return tuple(sorted(pool))
    return _sampled(run_seed, round_index, tuple(pool), cohort_size)


@lru_cache(maxsize=8)  # the parties of one process, and a party several times, ask for a round
def _sampled(
    run_seed: int, round_index: int, pool: tuple[int, ...], cohort_size: int
) -> tuple[int, ...]:
    order = random_permutation(run_seed, Purpose.COHORT, len(pool), a=round_index)
    return tuple(sorted(pool[i] for i in order[:cohort_size]))
