"""ZOWarmUp (Legate, Rish, Belilovsky, arXiv 2509.03503, Algorithm 1): FedAvg among the clients that
can do backprop, then one zeroth-order step a round by everyone.
"""

from __future__ import annotations

from zo_core.algorithms.base import Algorithm, Method, Phase
from zo_core.algorithms.fedavg import fedavg_method
from zo_core.algorithms.zeroth_order import zeroth_order_step
from zo_core.config import TrainConfig


def zowarmup(config: TrainConfig, high: tuple[int, ...]) -> Algorithm:
    """Warm up among the high-resource clients until the pivot, then one ZO step a round by all."""
    return two_phases("zowarmup", fedavg_method(config), zeroth_order_step(config), config, high)


def two_phases(
    name: str,
    warm_up: Method,
    zeroth_order: Method,
    config: TrainConfig,
    high: tuple[int, ...],
) -> Algorithm:
    """Build a schedule that hands over at the pivot from the high-resource clients to all."""
    first = Phase(
        method=warm_up,
        rounds=config.pivot,
        pool=high,
        cohort_size=config.warmup_cohort,
    )
    return Algorithm(name=name, phases=(first, _by_all(zeroth_order, config, config.pivot)))


def from_scratch(name: str, method: Method, config: TrainConfig) -> Algorithm:
    """Build a schedule of one zeroth-order method for all rounds, without a warm-up."""
    return Algorithm(name=name, phases=(_by_all(method, config, 0),))


def _by_all(method: Method, config: TrainConfig, first_round: int) -> Phase:
    return Phase(
        method=method,
        rounds=config.rounds - first_round,
        pool=tuple(range(config.clients)),
        cohort_size=config.zo_cohort or config.clients,
    )
