"""Training algorithms by name: one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, TypeAlias, get_type_hints

from zo_core.config import TrainConfig
from zo_core.import_by_name import is_own, load_own
from zo_core.method import Algorithm
from zo_core.options import Options

# of the config, the options and the slots of the high-resource clients, ascending
Builder: TypeAlias = Callable[[TrainConfig, Any, tuple[int, ...]], Algorithm]


@dataclass(frozen=True, slots=True)
class Row:
    """What the rest of the program knows of an algorithm."""

    label: str  # its written form in reports
    place: str  # module:function; the module loads on first use, most runs need only one
    baseline: bool = True  # compared with the paper's own method
    network: bool = False  # the round protocol carries its messages

    @property
    def build(self) -> Builder:
        """The function that builds it."""
        module, name = self.place.split(":")
        build: Builder = getattr(import_module(module, __package__), name)
        return build

    @property
    def options(self) -> type[Options]:
        """The class of its options, by the function's annotation."""
        options: type[Options] = _options_of(self.build)
        return options


@cache
def _options_of(build: Builder) -> Any:
    return get_type_hints(build)["options"]


ALGORITHMS: dict[str, Row] = {
    "fedavg": Row("FedAvg, all clients", ".methods.fedavg:fedavg", network=True),
    "high-res-only": Row("High-Res-Only", ".methods.fedavg:high_res_only", network=True),
    "heterofl": Row("HeteroFL", ".baselines.heterofl:heterofl"),
    "zowarmup": Row("ZOWarmUp", ".methods.zowarmup:zowarmup", baseline=False, network=True),
    "zowarmup-split": Row(
        "ZOWarmUp, split directions",
        ".methods.zowarmup_split:zowarmup_split",
        baseline=False,
        network=True,
    ),
    "mezo": Row("MeZO, from scratch", ".baselines.mezo:mezo", network=True),
    "mezo-single": Row("MeZO on one client, from scratch", ".baselines.mezo:mezo_single"),
    "high-res-only-fedadam": Row(
        "High-Res-Only, FedAdam", ".methods.fedadam:high_res_only_fedadam"
    ),
    "zowarmup-fedadam": Row(
        "ZOWarmUp, FedAdam", ".methods.fedadam:zowarmup_fedadam", baseline=False
    ),
    "fedkseed": Row("FedKSeed, from scratch", ".baselines.fedkseed:fedkseed"),
    "fedkseed-pro": Row("FedKSeed-Pro, from scratch", ".baselines.fedkseed_pro:fedkseed_pro"),
    "zowarmup-fedkseed": Row(
        "ZOWarmUp + FedKSeed", ".baselines.fedkseed:zowarmup_fedkseed", baseline=False
    ),
    "fedzo": Row("FedZO, from scratch", ".baselines.fedzo:fedzo"),
    "zowarmup-hi-lo": Row("ZOWarmUp hi + lo", ".methods.hi_lo:zowarmup_hi_lo", baseline=False),
    "zowarmup-elastic": Row("ZOWarmUp + ElasticZO", ".baselines.elastic:zowarmup_elastic"),
    "warmup-partial": Row("Warm-up, then the last layer", ".baselines.partial:warmup_partial"),
    "fjord": Row("FjORD", ".baselines.fjord:fjord"),
    "dgc": Row("DGC", ".baselines.dgc:dgc"),
    "fedsq": Row("FedSQ", ".baselines.fedsq:fedsq"),
    "scaffold": Row("SCAFFOLD", ".baselines.scaffold:scaffold"),
    "feddrop": Row("FedDrop", ".baselines.feddrop:feddrop"),
    "ensemble": Row("Simple ensembling", ".baselines.ensemble:ensemble"),
    "zerofl": Row("ZeroFL", ".baselines.zerofl:zerofl"),
    "fedsep": Row("FedSep", ".baselines.fedsep:fedsep"),
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
    """Make the row of a function (config, options, high) -> Algorithm."""
    load_own(algorithm, "algorithm")
    row = Row(algorithm.partition(":")[2], algorithm, network=True)
    try:
        options = row.options
    except (KeyError, NameError, TypeError, AttributeError) as error:
        raise _no_builder(algorithm) from error
    if not (isinstance(options, type) and issubclass(options, Options)):
        raise _no_builder(algorithm)
    return row


def _no_builder(algorithm: str) -> ValueError:
    return ValueError(
        f"algorithm {algorithm!r} must be a function (config: TrainConfig, options: YourOptions, "
        "high: tuple[int, ...]) -> Algorithm whose options are a dataclass of "
        "zo_core.options.Options; docs/extending.md shows one"
    )
