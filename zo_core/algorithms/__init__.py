"""Training algorithms by name."""

from __future__ import annotations

from collections.abc import Callable

from zo_core.algorithms.base import Algorithm
from zo_core.algorithms.fedavg import fedavg, high_res_only
from zo_core.algorithms.zowarmup import zowarmup
from zo_core.config import TrainConfig

# name -> factory of (config, slots of the high-resource clients, ascending)
ALGORITHMS: dict[str, Callable[[TrainConfig, tuple[int, ...]], Algorithm]] = {
    "fedavg": fedavg,
    "high-res-only": high_res_only,
    "zowarmup": zowarmup,
}


def build_algorithm(config: TrainConfig, high: tuple[int, ...]) -> Algorithm:
    """Build the algorithm that a config names.

    Args:
        config: how to train.
        high: slots of the high-resource clients, ascending.

    Raises:
        ValueError: the name is unknown.
    """
    if config.algorithm not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {config.algorithm!r}; known: {', '.join(ALGORITHMS)}")
    return ALGORITHMS[config.algorithm](config, high)
