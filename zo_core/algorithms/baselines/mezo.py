"""MeZO (Malladi et al., "Fine-Tuning Language Models with Just Forward Passes", NeurIPS 2023,
arXiv 2305.17333): ZOWarmUp's phase two for all rounds, from scratch, federated or on one client.

Each round, w -= lr * mean_j (dL_j / (2 rho)) z_j over the S directions of each sampled client, dL
over its whole shard.  As an optimiser for a loop of one's own it is
:class:`zo_core.optimizer.ZOSGD`.
"""

from __future__ import annotations

from dataclasses import replace

from zo_core.algorithms.steps.phases import from_scratch
from zo_core.algorithms.steps.zeroth_order import zeroth_order_step
from zo_core.config import TrainConfig
from zo_core.method import Algorithm, Phase


def mezo(config: TrainConfig, high: tuple[int, ...]) -> Algorithm:
    """Take one zeroth-order step a round with a cohort of all clients; there is no warm-up."""
    return from_scratch("mezo", replace(zeroth_order_step(config), name="mezo"), config)


def mezo_single(config: TrainConfig, high: tuple[int, ...]) -> Algorithm:
    """Let one low-resource client train by itself: what such a device has without a federation.

    It is the first that is not high-resource, and it reports its steps to the server, which alone
    follows it.
    """
    step = zeroth_order_step(config)
    method = replace(
        step,
        name="mezo-single",
        result_to_everyone=False,
        needs_hand_over=step.needs_grid,
        weighted=False,  # one client's samples weigh nothing against each other
    )
    alone = min(set(range(config.clients)) - set(high), default=0)
    phase = Phase(method=method, rounds=config.rounds, pool=(alone,), cohort_size=1)
    return Algorithm(name="mezo-single", phases=(phase,))
