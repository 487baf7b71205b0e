"""The schedules that methods are put into: one method for all rounds, or two with a pivot."""

from __future__ import annotations

from zo_core.config import TrainConfig
from zo_core.method import Algorithm, Method, Phase


def one_phase(method: Method, config: TrainConfig, pool: tuple[int, ...]) -> Algorithm:
    """Build a schedule of one method for all rounds, with the warm-up's cohorts."""
    phase = Phase(
        method=method,
        rounds=config.rounds,
        pool=pool,
        cohort_size=config.warmup_cohort,
    )
    return Algorithm(phases=(phase,))


def two_phases(
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
    return Algorithm(phases=(first, _by_all(zeroth_order, config, config.pivot)))


def from_scratch(method: Method, config: TrainConfig) -> Algorithm:
    """Build a schedule of one zeroth-order method for all rounds, without a warm-up."""
    return Algorithm(phases=(_by_all(method, config, 0),))


def _by_all(method: Method, config: TrainConfig, first_round: int) -> Phase:
    return Phase(
        method=method,
        rounds=config.rounds - first_round,
        pool=tuple(range(config.clients)),
        cohort_size=config.zo_cohort or config.clients,
    )
