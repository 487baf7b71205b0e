"""FedAvg (McMahan et al., AISTATS 2017, arXiv 1602.05629), and High-Res-Only, which is FedAvg
among the clients that can do backprop.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.base import Algorithm, ApplyReport, ClientData, Method, Phase, RoundContext
from zo_core.config import TrainConfig
from zo_core.cost_model import FLOAT_BYTES
from zo_core.first_order.memory_efficient_backprop import backprop_step
from zo_core.first_order.sgd import SGDStep, local_sgd_
from zo_core.first_order.uplink import compress_with_feedback_, decompressed
from zo_core.loss.module_loss import Criterion, cross_entropy
from zo_core.payloads.core import DenseWeights, Payload
from zo_core.replica import Replica, gather, scatter_

if TYPE_CHECKING:
    from torch import nn


class NonFiniteWeightsError(ArithmeticError):
    """A client's training diverged; its weights had been taken back before this was raised."""


class SampleMean:
    """sum n_k w_k / sum n_k, folded in float64 as the weights come, so that none is kept."""

    def __init__(self, size: int) -> None:
        self._total = np.zeros(size)
        self.samples = 0

    def add(self, values: npt.NDArray[np.float32], samples: int) -> None:
        """Fold one client's weights, (size,)."""
        self._total += samples * values.astype(np.float64)
        self.samples += samples

    def value(self) -> npt.NDArray[np.float64]:
        """Return the mean of what was folded, at least one sample."""
        return self._total / self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseAveraging:
    """Clients train a copy; the server averages by samples: w += lr_s (sum n_k w_k / n - w)."""

    server_lr: float
    criterion: Criterion | None = None  # None for cross entropy
    name: str = "dense-averaging"
    downlink_to_everyone: bool = False
    needs_grid: bool = False

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Train on the shard and return the weights and buffers; the replica ends as it was.

        Raises:
            NonFiniteWeightsError: the training diverged; no message carries such weights.
        """
        state = self.state(replica)
        before = gather(state)
        try:
            self.train_(replica, client, context)
            after = gather(state)
        finally:
            scatter_(state, before)
            replica.changed()
        require_finite(after, client.slot)
        return DenseWeights(
            run_id=context.run_id,
            round_index=context.round_index,
            slot=client.slot,
            samples=len(client.x),
            values=after,
        )

    def state(self, replica: Replica) -> Sequence[Any]:
        """List what is trained and sent: all weights, then buffers."""
        return replica.trained_state()

    def client_state_bytes(self, replica: Replica) -> int:
        """Bytes that a client keeps between rounds beside the model: none."""
        return 0

    @abstractmethod
    def train_(self, replica: Replica, client: ClientData, context: RoundContext) -> None:
        """Train a client's copy of the model in place."""

    def server_result(
        self, replica: Replica, updates: Iterable[Payload], context: RoundContext
    ) -> tuple[Payload, ApplyReport]:
        """Fold sum n_k w_k in float64, step the server's weights, return them."""
        state = self.state(replica)
        before = gather(state)
        mean = SampleMean(before.size)
        for update in updates:
            dense = self.received(replica, update)
            mean.add(dense.values, dense.samples)
        after = self.stepped(replica, before, mean.value()) if mean.samples else before
        scatter_(state, after)
        replica.changed()
        result = DenseWeights(
            run_id=context.run_id,
            round_index=context.round_index,
            slot=0,
            samples=0,
            values=after,
        )
        return result, ApplyReport()

    def received(self, replica: Replica, update: Payload) -> DenseWeights:
        """Return a client's weights as its message gives them."""
        return cast(DenseWeights, update)

    def stepped(
        self, replica: Replica, before: npt.NDArray[np.float32], mean: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float32]:
        """Compute the server's weights from those before and the clients' mean."""
        return (before + self.server_lr * (mean - before)).astype(np.float32)

    def apply_(self, replica: Replica, result: Payload, context: RoundContext) -> ApplyReport:
        """Take over the server's weights."""
        scatter_(self.state(replica), cast(DenseWeights, result).values)
        replica.changed()
        return ApplyReport()

    def message_for(self, replica: Replica, result: Payload, slot: int) -> Payload:
        """Return the result: everyone holds the whole model."""
        return result


def require_finite(values: npt.NDArray[np.float32], slot: int) -> None:
    """Check what a client's training ended in.

    Raises:
        NonFiniteWeightsError: a weight is not finite.
    """
    if not np.isfinite(values).all():
        raise NonFiniteWeightsError(
            f"client {slot}'s training ended in weights that are not finite; "
            "they are taken back (lower client_lr)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAvg(DenseAveraging):
    """Local SGD on each client, averaged by samples at the server."""

    client_lr: float
    local_epochs: int
    batch_size: int
    backprop: str = "plain"  # a name in BACKPROP
    micro_batch: int | None = None  # items a forward, where backprop accumulates
    uplink: str = "dense"  # a name in UPLINKS
    name: str = "fedavg"

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Train on the shard and return the weights, or their compressed change.

        Raises:
            NonFiniteWeightsError: the training diverged; what the client kept back stays.
        """
        update = DenseAveraging.client_update(self, replica, client, context)
        if self.uplink == "dense":
            return update
        return compress_with_feedback_(self.uplink, replica, cast(DenseWeights, update))

    def received(self, replica: Replica, update: Payload) -> DenseWeights:
        """Return a client's weights as its message gives them."""
        return decompressed(replica, update)

    def client_state_bytes(self, replica: Replica) -> int:
        """Bytes that a client keeps beside the model: the round's weights, what it kept back."""
        return 0 if self.uplink == "dense" else 2 * FLOAT_BYTES * replica.params.num_elements

    def train_(self, replica: Replica, client: ClientData, context: RoundContext) -> None:
        """Take some epochs of SGD over the shard."""
        self.train_module_(replica.module, client, context, self.criterion or cross_entropy)

    def train_module_(
        self,
        module: nn.Module,
        client: ClientData,
        context: RoundContext,
        criterion: Criterion,
        *,
        training_mode: bool = True,
    ) -> None:
        """Train a module as :meth:`train_` trains a replica's."""
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
            step=self.sgd_step(client, context),
            training_mode=training_mode,
        )

    def sgd_step(self, client: ClientData, context: RoundContext) -> SGDStep:
        """Choose how a client takes its steps."""
        return backprop_step(self.backprop, micro_batch=self.micro_batch)


def local_sgd_fields(config: TrainConfig) -> dict[str, Any]:
    """Return the fields of a method whose clients train by local SGD, as a config gives them."""
    return {
        "client_lr": config.client_lr,
        "local_epochs": config.local_epochs,
        "batch_size": config.batch_size,
        "backprop": config.backprop,
        "micro_batch": config.micro_batch,
    }


def fedavg_method(config: TrainConfig) -> FedAvg:
    """Build the method that a config describes."""
    return FedAvg(**local_sgd_fields(config), server_lr=config.server_lr)


def fedavg(config: TrainConfig, high: tuple[int, ...]) -> Algorithm:
    """FedAvg over all clients, as if each had the memory: what low resources cost is the gap."""
    method = replace(fedavg_method(config), uplink=config.uplink)
    return one_phase("fedavg", method, config, tuple(range(config.clients)))


def high_res_only(config: TrainConfig, high: tuple[int, ...]) -> Algorithm:
    """FedAvg over the high-resource clients for all rounds: the paper's baseline."""
    method = replace(fedavg_method(config), uplink=config.uplink)
    return one_phase("high-res-only", method, config, high)


def one_phase(name: str, method: Method, config: TrainConfig, pool: tuple[int, ...]) -> Algorithm:
    """Build a schedule of one method for all rounds, with the warm-up's cohorts."""
    phase = Phase(
        method=method,
        rounds=config.rounds,
        pool=pool,
        cohort_size=config.warmup_cohort,
    )
    return Algorithm(name=name, phases=(phase,))
