"""MeZO (Malladi et al., "Fine-Tuning Language Models with Just Forward Passes", NeurIPS 2023,
arXiv 2305.17333): ZOWarmUp's phase two for all rounds, from scratch, federated or on one client.

Each round, w -= lr * mean_j (dL_j / (2 rho)) z_j over the S directions of each sampled client, dL
over its whole shard.  As an optimiser for a loop of one's own it is
:class:`zo_core.torch.ZOSGD`.
"""

from __future__ import annotations

from dataclasses import dataclass

from zo_core.algorithms.steps.phases import from_scratch
from zo_core.algorithms.steps.zeroth_order import (
    AverageOptions,
    GridOptions,
    WeightedOptions,
    ZerothOrderStep,
    grid_fields,
    zeroth_order_fields,
)
from zo_core.algorithms.steps.zo_client import ServerRateOptions, local_step_fields
from zo_core.config import TrainConfig
from zo_core.method import Algorithm, Phase


@dataclass(frozen=True, kw_only=True)
class MeZOOptions(WeightedOptions, GridOptions, ServerRateOptions):
    """MeZO"""


@dataclass(frozen=True, kw_only=True)
class SingleMeZOOptions(AverageOptions, GridOptions, ServerRateOptions):
    """MeZO on one client"""


def mezo(config: TrainConfig, options: MeZOOptions, high: tuple[int, ...]) -> Algorithm:
    """ZOWarmUp's zeroth-order step from the first round on, without a warm-up."""
    fields = zeroth_order_fields(config, options) | grid_fields(options)
    return from_scratch(ZerothOrderStep(**fields, name="mezo"), config)


def mezo_single(
    config: TrainConfig, options: SingleMeZOOptions, high: tuple[int, ...]
) -> Algorithm:
    """MeZO on one low-resource client: what such a device has without a federation.

    It is the first that is not high-resource, and it reports its steps to the server, which alone
    follows it.
    """
    method = ZerothOrderStep(
        **local_step_fields(config, options),
        **grid_fields(options),
        average=options.average,
        result_to_everyone=False,
        needs_hand_over=options.grid,
        name="mezo-single",
    )
    alone = min(set(range(config.clients)) - set(high), default=0)
    phase = Phase(method=method, rounds=config.rounds, pool=(alone,), cohort_size=1)
    return Algorithm(phases=(phase,))
