"""ZOWarmUp (Legate, Rish, Belilovsky, arXiv 2509.03503, Algorithm 1): FedAvg among the clients that
can do backprop, then one zeroth-order step a round by everyone.
"""

from __future__ import annotations

from zo_core.algorithms.methods.fedavg import fedavg_method
from zo_core.algorithms.steps.phases import two_phases
from zo_core.algorithms.steps.zeroth_order import zeroth_order_step
from zo_core.config import TrainConfig
from zo_core.method import Algorithm


def zowarmup(config: TrainConfig, high: tuple[int, ...]) -> Algorithm:
    """Warm up among the high-resource clients until the pivot, then one ZO step a round by all."""
    return two_phases("zowarmup", fedavg_method(config), zeroth_order_step(config), config, high)
