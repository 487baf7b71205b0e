"""FedAvg (McMahan et al., AISTATS 2017, arXiv 1602.05629), and High-Res-Only, which is FedAvg
among the clients that can do backprop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zo_core.algorithms.steps.averaging import DenseAveraging
from zo_core.algorithms.steps.phases import one_phase
from zo_core.config import TrainConfig
from zo_core.first_order.memory_efficient_backprop import BACKPROP, backprop_step, check_backprop
from zo_core.first_order.sgd import SGDStep, local_sgd_
from zo_core.loss.module_loss import Criterion
from zo_core.method import Algorithm, ClientData, RoundContext
from zo_core.options import Options, choice, count, rate
from zo_core.replica import Replica

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAvg(DenseAveraging):
    """Local SGD on each client, averaged by samples at the server."""

    client_lr: float
    local_epochs: int
    batch_size: int
    backprop: str = "plain"  # a name in BACKPROP
    micro_batch: int | None = None  # items a forward, where backprop accumulates
    name: str = "fedavg"

    def train_(self, replica: Replica, client: ClientData, context: RoundContext) -> None:
        """Take some epochs of SGD over the shard."""
        self.train_module_(replica.module, client, context, self.criterion or replica.criterion)

    def train_module_(
        self,
        module: nn.Module,
        client: ClientData,
        context: RoundContext,
        criterion: Criterion,
        *,
        step: SGDStep | None = None,
        training_mode: bool = True,
    ) -> None:
        """Train a module as :meth:`train_` trains a replica's, or by another step."""
        local_sgd_(
            module,
            client.x,
            client.y,
            lr=self.client_lr,
            epochs=self.local_epochs,
            batch_size=self.batch_size,
            run_seed=context.run_seed,
            round_index=context.round_index,
            client_id=client.slot,
            criterion=criterion,
            step=step or self.sgd_step(client, context),
            training_mode=training_mode,
        )

    def sgd_step(self, client: ClientData, context: RoundContext) -> SGDStep:
        """Choose how a client takes its steps."""
        return backprop_step(self.backprop, micro_batch=self.micro_batch)


@dataclass(frozen=True, kw_only=True)
class LocalSGDOptions(Options):
    """Local SGD"""

    batch_size: int = count(64, "number of items per batch of local training")  # paper
    local_epochs: int = count(3, "number of local epochs per round")  # paper
    client_lr: float = rate(0.1, "learning rate of local training at the clients")  # tuned
    backprop: str = choice(
        "plain", BACKPROP, "variant of backprop: same step, different memory and time"
    )


@dataclass(frozen=True, kw_only=True)
class FedAvgOptions(LocalSGDOptions):
    """FedAvg"""

    server_lr: float = rate(1.0, "learning rate of the server's update")


def local_sgd_fields(config: TrainConfig, options: LocalSGDOptions) -> dict[str, Any]:
    """Return the fields of a method whose clients train by local SGD, as a config gives them.

    Raises:
        ValueError: backprop accumulates, and the config has no micro_batch.
    """
    check_backprop(options.backprop, config.micro_batch)
    return {
        "client_lr": options.client_lr,
        "local_epochs": options.local_epochs,
        "batch_size": options.batch_size,
        "backprop": options.backprop,
        "micro_batch": config.micro_batch,
    }


def fedavg_method(config: TrainConfig, options: FedAvgOptions) -> FedAvg:
    """Build the method that a config describes."""
    return FedAvg(**local_sgd_fields(config, options), server_lr=options.server_lr)


def fedavg(config: TrainConfig, options: FedAvgOptions, high: tuple[int, ...]) -> Algorithm:
    """FedAvg over all clients, as if each had the memory for backprop."""
    return one_phase(fedavg_method(config, options), config, tuple(range(config.clients)))


def high_res_only(config: TrainConfig, options: FedAvgOptions, high: tuple[int, ...]) -> Algorithm:
    """FedAvg over the high-resource clients: the paper's baseline."""
    return one_phase(fedavg_method(config, options), config, high)
