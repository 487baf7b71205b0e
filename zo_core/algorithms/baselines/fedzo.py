"""FedZO (Fang et al., "Communication-Efficient Stochastic Zeroth-Order Optimization for Federated
Learning", IEEE TSP 2022, arXiv 2201.09531): local zeroth-order steps along directions on the
sphere, and dense weights on the link, as in FedAvg.

Local step: w -= lr / S sum_s (dL_s / (2 rho)) z_s with |z_s| = sqrt(d), which is the paper's
(d / (S mu)) sum_s (...) v_s with |v_s| = 1, mu = rho sqrt(d) and a central difference in place of
a forward one.
"""

from __future__ import annotations

from dataclasses import dataclass

from zo_core.algorithms.steps.averaging import DenseAveraging
from zo_core.algorithms.steps.phases import from_scratch
from zo_core.algorithms.steps.zo_client import (
    LocalStepOptions,
    ServerRateOptions,
    ZerothOrderClient,
    local_step_fields,
)
from zo_core.config import TrainConfig
from zo_core.method import Algorithm, ClientData, RoundContext
from zo_core.optimizer import apply_updates_
from zo_core.replica import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class FedZO(ZerothOrderClient, DenseAveraging):
    """Local steps along the sphere in plain fp32, averaged by samples at the server."""

    distribution: str = "sphere"
    name: str = "fedzo"

    def train_(self, replica: Replica, client: ClientData, context: RoundContext) -> None:
        """Take the client's local steps in place, each over its part of the shard."""
        for step, part in enumerate(self.parts(client, context)):
            seeds = self.seeds(context, client.slot, step)
            differences = self.differences(replica, part, seeds)
            apply_updates_(
                replica.params,
                list(zip(seeds, differences.tolist(), strict=True)),
                self.lr,
                epsilon=self.epsilon,
                tau=self.tau,
                tau_squared=self.literal_tau,
                distribution=self.distribution,
            )


@dataclass(frozen=True, kw_only=True)
class FedZOOptions(LocalStepOptions, ServerRateOptions):
    """FedZO"""


def fedzo(config: TrainConfig, options: FedZOOptions, high: tuple[int, ...]) -> Algorithm:
    """FedZO from scratch: local steps along the sphere, dense weights on the link, plain fp32."""
    return from_scratch(FedZO(**local_step_fields(config, options), server_lr=1.0), config)
