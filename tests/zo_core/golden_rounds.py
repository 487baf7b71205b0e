"""Rounds whose every bit follows from IEEE arithmetic: a loss without torch, summed exactly."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

from zo_core.algorithms import build_algorithm, train_config
from zo_core.federation import Replica, run_round, sample_cohort
from zo_core.method import ClientData, RoundContext

CLIENTS, ROUNDS, SHAPES = 5, 4, ((3, 7), (11,), (2, 2, 2))
METHODS = ("mezo", "zowarmup-fedadam", "fedkseed")
SEEDS = (1, 2, 2**63 + 5)


class ExactQuadratic:
    """Half the squared distance to each item, in float64, summed without rounding."""

    def __init__(self, arrays: list[np.ndarray]) -> None:
        self._arrays = arrays

    def mean_loss(self, x: Any, y: Any, *, micro_batch: int | None = None) -> float:
        weights = np.concatenate([a.reshape(-1) for a in self._arrays]).astype(np.float64)
        return math.fsum((0.5 * np.square(weights - x)).reshape(-1).tolist()) / len(x)


def data(slot: int) -> ClientData:
    """Two items of multiples of 1/64, drawn by no library."""
    size = sum(math.prod(shape) for shape in SHAPES)
    steps = (np.arange(2 * size).reshape(2, size) * (17 + slot)) % 64
    return ClientData(slot=slot, x=steps / 64.0 - 0.25, y=np.zeros(2))


def digest_after(algorithm: str, run_seed: int) -> str:
    """Run the method's last phase from zero; hash every result and the state at the end."""
    config = train_config(
        algorithm=algorithm, clients=CLIENTS, rounds=ROUNDS, pivot=0, zo_cohort=3, warmup_cohort=1
    )
    phase = build_algorithm(config, (0,)).phases[-1]
    arrays = [np.zeros(shape, np.float32) for shape in SHAPES]
    replica = Replica(arrays, forward=ExactQuadratic(arrays))
    replica.hand_over_(run_id=run_seed, round_index=0)
    seen = hashlib.blake2b(digest_size=16)
    for index in range(ROUNDS):
        cohort = sample_cohort(run_seed, index, phase.pool, phase.cohort_size)
        context = RoundContext(
            run_seed=run_seed,
            run_id=run_seed,
            round_index=index,
            cohort=cohort,
            samples=(2,) * len(cohort),
        )
        done = run_round(phase.method, replica, data, context, roster_size=CLIENTS)
        seen.update(done.result.encode())
    seen.update(replica.snapshot(run_id=run_seed, round_index=ROUNDS).encode())
    seen.update(replica.digest())
    return seen.hexdigest()
