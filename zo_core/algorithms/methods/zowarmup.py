"""ZOWarmUp (Legate, Rish, Belilovsky, arXiv 2509.03503, Algorithm 1): FedAvg among the clients that
can do backprop, then one zeroth-order step a round by everyone.
"""

from __future__ import annotations

from dataclasses import dataclass

from zo_core.algorithms.methods.fedavg import FedAvgOptions, fedavg_method
from zo_core.algorithms.steps.phases import two_phases
from zo_core.algorithms.steps.zeroth_order import (
    GridOptions,
    WeightedOptions,
    ZerothOrderStep,
    grid_fields,
    zeroth_order_fields,
)
from zo_core.algorithms.steps.zo_client import ServerRateOptions
from zo_core.config import TrainConfig
from zo_core.method import Algorithm


@dataclass(frozen=True, kw_only=True)
class ZOWarmUpOptions(FedAvgOptions, WeightedOptions, GridOptions, ServerRateOptions):
    """ZOWarmUp"""


def zowarmup(config: TrainConfig, options: ZOWarmUpOptions, high: tuple[int, ...]) -> Algorithm:
    """FedAvg among the high-resource clients until the pivot, then one ZO step a round by all."""
    step = ZerothOrderStep(**zeroth_order_fields(config, options), **grid_fields(options))
    return two_phases(fedavg_method(config, options), step, config, high)
