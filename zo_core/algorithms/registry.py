"""Training algorithms by name: one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from zo_core.algorithms.baselines.dgc import DGCOptions, dgc
from zo_core.algorithms.baselines.elastic import ElasticOptions, zowarmup_elastic
from zo_core.algorithms.baselines.ensemble import EnsembleOptions, ensemble
from zo_core.algorithms.baselines.feddrop import FedDropOptions, feddrop
from zo_core.algorithms.baselines.fedkseed import (
    FedKSeedOptions,
    ZOWarmUpFedKSeedOptions,
    fedkseed,
    zowarmup_fedkseed,
)
from zo_core.algorithms.baselines.fedkseed_pro import fedkseed_pro
from zo_core.algorithms.baselines.fedsep import FedSepOptions, fedsep
from zo_core.algorithms.baselines.fedsq import FedSQOptions, fedsq
from zo_core.algorithms.baselines.fedzo import FedZOOptions, fedzo
from zo_core.algorithms.baselines.fjord import fjord
from zo_core.algorithms.baselines.heterofl import NarrowOptions, heterofl
from zo_core.algorithms.baselines.mezo import MeZOOptions, SingleMeZOOptions, mezo, mezo_single
from zo_core.algorithms.baselines.partial import PartialOptions, warmup_partial
from zo_core.algorithms.baselines.scaffold import scaffold
from zo_core.algorithms.baselines.zerofl import ZeroFLOptions, zerofl
from zo_core.algorithms.methods.fedadam import (
    FedAdamOptions,
    ZOWarmUpFedAdamOptions,
    high_res_only_fedadam,
    zowarmup_fedadam,
)
from zo_core.algorithms.methods.fedavg import FedAvgOptions, fedavg, high_res_only
from zo_core.algorithms.methods.hi_lo import HiLoOptions, zowarmup_hi_lo
from zo_core.algorithms.methods.zowarmup import ZOWarmUpOptions, zowarmup
from zo_core.algorithms.methods.zowarmup_split import ZOWarmUpSplitOptions, zowarmup_split
from zo_core.config import TrainConfig
from zo_core.import_by_name import is_own, load_own
from zo_core.method import Algorithm
from zo_core.options import Options


@dataclass(frozen=True, slots=True)
class Row:
    """What the rest of the program knows of an algorithm."""

    label: str  # its written form in reports
    options: type[Options]  # what it declares
    # of the config, the options and the slots of the high-resource clients, ascending
    build: Callable[[TrainConfig, Any, tuple[int, ...]], Algorithm]
    baseline: bool = True  # compared with the paper's own method
    network: bool = False  # the round protocol carries its messages


ALGORITHMS: dict[str, Row] = {
    "fedavg": Row("FedAvg, all clients", FedAvgOptions, fedavg, network=True),
    "high-res-only": Row("High-Res-Only", FedAvgOptions, high_res_only, network=True),
    "heterofl": Row("HeteroFL", NarrowOptions, heterofl),
    "zowarmup": Row("ZOWarmUp", ZOWarmUpOptions, zowarmup, baseline=False, network=True),
    "zowarmup-split": Row(
        "ZOWarmUp, split directions",
        ZOWarmUpSplitOptions,
        zowarmup_split,
        baseline=False,
        network=True,
    ),
    "mezo": Row("MeZO, from scratch", MeZOOptions, mezo, network=True),
    "mezo-single": Row("MeZO on one client, from scratch", SingleMeZOOptions, mezo_single),
    "high-res-only-fedadam": Row("High-Res-Only, FedAdam", FedAdamOptions, high_res_only_fedadam),
    "zowarmup-fedadam": Row(
        "ZOWarmUp, FedAdam", ZOWarmUpFedAdamOptions, zowarmup_fedadam, baseline=False
    ),
    "fedkseed": Row("FedKSeed, from scratch", FedKSeedOptions, fedkseed),
    "fedkseed-pro": Row("FedKSeed-Pro, from scratch", FedKSeedOptions, fedkseed_pro),
    "zowarmup-fedkseed": Row(
        "ZOWarmUp + FedKSeed", ZOWarmUpFedKSeedOptions, zowarmup_fedkseed, baseline=False
    ),
    "fedzo": Row("FedZO, from scratch", FedZOOptions, fedzo),
    "zowarmup-hi-lo": Row("ZOWarmUp hi + lo", HiLoOptions, zowarmup_hi_lo, baseline=False),
    "zowarmup-elastic": Row("ZOWarmUp + ElasticZO", ElasticOptions, zowarmup_elastic),
    "warmup-partial": Row("Warm-up, then the last layer", PartialOptions, warmup_partial),
    "fjord": Row("FjORD", NarrowOptions, fjord),
    "dgc": Row("DGC", DGCOptions, dgc),
    "fedsq": Row("FedSQ", FedSQOptions, fedsq),
    "scaffold": Row("SCAFFOLD", FedAvgOptions, scaffold),
    "feddrop": Row("FedDrop", FedDropOptions, feddrop),
    "ensemble": Row("Simple ensembling", EnsembleOptions, ensemble),
    "zerofl": Row("ZeroFL", ZeroFLOptions, zerofl),
    "fedsep": Row("FedSep", FedSepOptions, fedsep),
}


def row_of(algorithm: str) -> Row:
    """Return an algorithm's row; the user's own ``package.module:function`` gets one.

    Raises:
        ValueError: the name is unknown, the message lists the known ones; or the user's own cannot
            be imported, or does not say what its options are.
    """
    if algorithm not in ALGORITHMS and is_own(algorithm):
        ALGORITHMS[algorithm] = _own_row(algorithm)
    if algorithm not in ALGORITHMS:
        raise ValueError(
            f"unknown algorithm {algorithm!r}; known: {', '.join(ALGORITHMS)}, or "
            "package.module:function for your own"
        )
    return ALGORITHMS[algorithm]


def build_algorithm(config: TrainConfig, high: tuple[int, ...]) -> Algorithm:
    """Build the algorithm that a config names.

    Args:
        config: how to train.
        high: slots of the high-resource clients, ascending.

    Raises:
        ValueError: the name is unknown, the options are another algorithm's, or they do not fit
            the rest of the config.
    """
    row = row_of(config.algorithm)
    if type(config.options) is not row.options:
        raise ValueError(
            f"options must be {row.options.__name__} for {config.algorithm}, got "
            f"{type(config.options).__name__} (use zo_core.algorithms.train_config)"
        )
    return row.build(config, config.options, high)


def _own_row(algorithm: str) -> Row:
    """Make the row of a function (config, options, high) -> Algorithm from its annotations."""
    build = load_own(algorithm, "algorithm")
    try:
        options = get_type_hints(build)["options"]
    except (KeyError, NameError, TypeError, AttributeError) as error:
        raise _no_builder(algorithm) from error
    if not (isinstance(options, type) and issubclass(options, Options)):
        raise _no_builder(algorithm)
    return Row(algorithm.partition(":")[2], options, build, network=True)


def _no_builder(algorithm: str) -> ValueError:
    return ValueError(
        f"algorithm {algorithm!r} must be a function (config: TrainConfig, options: YourOptions, "
        "high: tuple[int, ...]) -> Algorithm whose options are a dataclass of "
        "zo_core.options.Options; docs/extending.md shows one"
    )
