"""The stream's quality: balance, independence, and seeds that never coincide."""

from __future__ import annotations

import itertools
import math

import numpy as np

from zo_core.directions import rademacher
from zo_core.philox import Purpose, philox4x32, split_seed
from zo_core.seeds import derive_seed

N = 1 << 18
FIVE_SIGMA = 5 * math.sqrt(N)


def test_signs_are_balanced():
    for seed in range(8):
        assert abs(int(rademacher(seed, seed, N).sum(dtype=np.int64))) < FIVE_SIGMA


def test_directions_are_uncorrelated():
    """Over seeds that differ in one bit, tensors, and shifts by a word and by a block."""
    streams = [
        rademacher(seed, tensor, N, start)
        for seed, tensor, start in [
            (0, 0, 0), (1, 0, 0), (1 << 32, 0, 0), (1 << 63, 0, 0),
            (0, 1, 0), (0, 1 << 31, 0), (0, 0, 32), (0, 0, 128),
        ]
    ]  # fmt: skip
    for x, y in itertools.combinations(streams, 2):
        assert abs(int(np.dot(x.astype(np.int64), y.astype(np.int64)))) < FIVE_SIGMA


def test_a_million_derived_seeds_are_distinct():
    rounds, clients, directions = np.meshgrid(
        np.arange(100), np.arange(100), np.arange(100), indexing="ij"
    )
    counter = (rounds.ravel(), clients.ravel(), directions.ravel(), Purpose.DIRECTION_SEED)
    low, high, _, _ = philox4x32(counter, split_seed(7))
    seeds = low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32)
    assert len(np.unique(seeds)) == seeds.size == 10**6
    # The draws above are those of derive_seed.
    for at in (0, 12_345, 999_999):
        r, c, d = int(counter[0][at]), int(counter[1][at]), int(counter[2][at])
        assert derive_seed(7, round_index=r, client_id=c, direction=d) == int(seeds[at])
