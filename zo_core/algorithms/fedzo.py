"""FedZO (Fang et al., "Communication-Efficient Stochastic Zeroth-Order Optimization for Federated
Learning", IEEE TSP 2022, arXiv 2201.09531): local zeroth-order steps along directions on the
sphere, and dense weights on the link, as in FedAvg.

Local step: w -= lr / S sum_s (dL_s / (2 rho)) z_s with |z_s| = sqrt(d), which is the paper's
(d / (S mu)) sum_s (...) v_s with |v_s| = 1, mu = rho sqrt(d) and a central difference in place of
a forward one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from zo_core.algorithms.base import Algorithm, ClientData, RoundContext
from zo_core.algorithms.fedavg import DenseAveraging
from zo_core.algorithms.zowarmup import from_scratch
from zo_core.config import TrainConfig
from zo_core.federation.replica import Replica
from zo_core.local_zo import step_items
from zo_core.loss.module_loss import mean_loss
from zo_core.optimizer import apply_updates_
from zo_core.spsa import loss_differences
from zo_core.stream import derive_seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class FedZO(DenseAveraging):
    """Local steps along the sphere in plain fp32, averaged by samples at the server."""

    lr: float  # of each local step
    local_steps: int
    directions: int  # S
    epsilon: float
    tau: float
    literal_tau: bool = True
    micro_batch: int | None = None
    name: str = "fedzo"

    def train_(self, replica: Replica, client: ClientData, context: RoundContext) -> None:
        """Take the client's local steps in place, each over its part of the shard."""
        parts = step_items(
            len(client.x),
            self.local_steps,
            run_seed=context.run_seed,
            round_index=context.round_index,
            client_id=client.slot,
        )
        for step, items in enumerate(parts):
            part = ClientData(slot=client.slot, x=client.x[items], y=client.y[items])
            self._step_(replica, part, self.seeds(context, client.slot, step))

    def seeds(self, context: RoundContext, slot: int, step: int) -> list[int]:
        """Derive the S seeds of a client's local step."""
        return derive_seeds(
            context.run_seed,
            round_index=context.round_index,
            client_id=slot,
            directions=self.directions,
            step=step,
        )

    def _step_(self, replica: Replica, part: ClientData, seeds: list[int]) -> None:
        loss_fn = partial(
            mean_loss,
            replica.module,
            part.x,
            part.y,
            micro_batch=self.micro_batch,
            criterion=self.criterion,
        )
        differences = loss_differences(
            loss_fn,
            replica.params,
            seeds,
            epsilon=self.epsilon,
            tau=self.tau,
            distribution="sphere",
        )
        apply_updates_(
            replica.params,
            list(zip(seeds, differences.tolist(), strict=True)),
            self.lr,
            epsilon=self.epsilon,
            tau=self.tau,
            literal=self.literal_tau,
            distribution="sphere",
        )


def fedzo(config: TrainConfig, high: tuple[int, ...]) -> Algorithm:
    """FedZO from scratch among all clients; whatever the config's distribution and grid are."""
    method = FedZO(
        lr=config.zo_client_lr * config.zo_server_lr,
        server_lr=1.0,
        local_steps=config.local_steps,
        directions=config.directions,
        epsilon=config.epsilon,
        tau=config.tau,
        literal_tau=config.literal_tau,
        micro_batch=config.micro_batch,
    )
    return from_scratch("fedzo", method, config)
