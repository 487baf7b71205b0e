"""MeZO (Malladi et al., "Fine-Tuning Language Models with Just Forward Passes", NeurIPS 2023,
arXiv 2305.17333) as a federated step: ZOWarmUp's phase two for all rounds, from scratch.

Each round, w -= lr * mean_j (dL_j / (2 rho)) z_j over the S directions of each sampled client, dL
over its whole shard.  On one machine MeZO is :class:`zo_core.optimizer.ZOSGD`.
"""

from __future__ import annotations

from dataclasses import replace

from zo_core.algorithms.base import Algorithm
from zo_core.algorithms.zeroth_order import zeroth_order_step
from zo_core.algorithms.zowarmup import from_scratch
from zo_core.config import TrainConfig


def mezo(config: TrainConfig, high: tuple[int, ...]) -> Algorithm:
    """Take one zeroth-order step a round with a cohort of all clients; there is no warm-up."""
    return from_scratch("mezo", replace(zeroth_order_step(config), name="mezo"), config)
