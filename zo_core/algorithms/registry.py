"""Training algorithms by name."""

from __future__ import annotations

from collections.abc import Callable

from zo_core.algorithms.base import Algorithm
from zo_core.algorithms.fedadam import high_res_only_fedadam, zowarmup_fedadam
from zo_core.algorithms.fedavg import fedavg, high_res_only
from zo_core.algorithms.fedkseed import fedkseed, zowarmup_fedkseed
from zo_core.algorithms.fedzo import fedzo
from zo_core.algorithms.heterofl import heterofl
from zo_core.algorithms.hi_lo import zowarmup_hi_lo
from zo_core.algorithms.mezo import mezo
from zo_core.algorithms.zowarmup import zowarmup
from zo_core.config import TrainConfig

# name -> factory of (config, slots of the high-resource clients, ascending)
ALGORITHMS: dict[str, Callable[[TrainConfig, tuple[int, ...]], Algorithm]] = {
    "fedavg": fedavg,
    "high-res-only": high_res_only,
    "heterofl": heterofl,
    "zowarmup": zowarmup,
    "mezo": mezo,
    "high-res-only-fedadam": high_res_only_fedadam,
    "zowarmup-fedadam": zowarmup_fedadam,
    "fedkseed": fedkseed,
    "zowarmup-fedkseed": zowarmup_fedkseed,
    "fedzo": fedzo,
    "zowarmup-hi-lo": zowarmup_hi_lo,
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
