"""Training algorithms by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from zo_core.algorithms.baselines.elastic import zowarmup_elastic
from zo_core.algorithms.baselines.fedkseed import fedkseed, zowarmup_fedkseed
from zo_core.algorithms.baselines.fedzo import fedzo
from zo_core.algorithms.baselines.fjord import fjord
from zo_core.algorithms.baselines.heterofl import heterofl
from zo_core.algorithms.baselines.mezo import mezo, mezo_single
from zo_core.algorithms.baselines.partial import warmup_partial
from zo_core.algorithms.methods.fedadam import high_res_only_fedadam, zowarmup_fedadam
from zo_core.algorithms.methods.fedavg import fedavg, high_res_only
from zo_core.algorithms.methods.hi_lo import zowarmup_hi_lo
from zo_core.algorithms.methods.zowarmup import zowarmup
from zo_core.config import TrainConfig
from zo_core.method import Algorithm

# name -> factory of (config, slots of the high-resource clients, ascending)
ALGORITHMS: dict[str, Callable[[TrainConfig, tuple[int, ...]], Algorithm]] = {
    "fedavg": fedavg,
    "high-res-only": high_res_only,
    "heterofl": heterofl,
    "zowarmup": zowarmup,
    "mezo": mezo,
    "mezo-single": mezo_single,
    "high-res-only-fedadam": high_res_only_fedadam,
    "zowarmup-fedadam": zowarmup_fedadam,
    "fedkseed": fedkseed,
    "zowarmup-fedkseed": zowarmup_fedkseed,
    "fedzo": fedzo,
    "zowarmup-hi-lo": zowarmup_hi_lo,
    "zowarmup-elastic": zowarmup_elastic,
    "warmup-partial": warmup_partial,
    "fjord": fjord,
}


# fields of the config that choose how, not how much; each must mean something to the algorithm
SWITCHES = (
    *("distribution", "grid", "average", "weighted", "literal_tau", "local_steps"),
    *("estimator", "zo_share", "candidates", "backprop", "uplink", "trained"),
)


def build_algorithm(config: TrainConfig, high: tuple[int, ...]) -> Algorithm:
    """Build the algorithm that a config names.

    Args:
        config: how to train.
        high: slots of the high-resource clients, ascending.

    Raises:
        ValueError: the name is unknown, or a switch is set that changes nothing in this algorithm.
    """
    if config.algorithm not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {config.algorithm!r}; known: {', '.join(ALGORITHMS)}")
    factory = ALGORITHMS[config.algorithm]
    algorithm = factory(config, high)
    for name in SWITCHES:
        default, value = getattr(_DEFAULTS, name), getattr(config, name)
        if value != default and factory(_without(config, name), high) == algorithm:
            raise ValueError(
                f"{name} must be {default} for {config.algorithm}, where it changes nothing, "
                f"got {value}"
            )
    return algorithm


_DEFAULTS = TrainConfig()


def _without(config: TrainConfig, name: str) -> TrainConfig:
    """Return a config with one switch at its default."""
    if name == "grid":  # which admits one distribution alone
        return replace(config, grid=_DEFAULTS.grid, distribution=_DEFAULTS.distribution)
    return replace(config, **{name: getattr(_DEFAULTS, name)})
