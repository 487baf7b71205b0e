"""SCAFFOLD (Karimireddy, Kale, Mohri, Reddi, Stich, Suresh, "SCAFFOLD: Stochastic Controlled
Averaging for Federated Learning", ICML 2020, arXiv 1910.06378): each local step is corrected by the
difference of the server's and the client's control variate, so that clients do not drift apart.

With x the round's weights, y the client's, K its steps (option II of the paper's algorithm 1):

    y -= lr (g(y) - c_i + c);  c_i' = c_i - c + (x - y) / (K lr)
    x += lr_s mean (y - x);    c += |cohort| / N mean (c_i' - c_i)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.methods.fedavg import FedAvg, FedAvgOptions, local_sgd_fields
from zo_core.algorithms.steps.averaging import DenseAveraging
from zo_core.algorithms.steps.phases import one_phase
from zo_core.config import TrainConfig
from zo_core.cost_model import FLOAT_BYTES
from zo_core.first_order.sgd import SGDStep
from zo_core.loss.module_loss import Criterion, cross_entropy
from zo_core.method import Algorithm, ApplyReport, ClientData, RoundContext
from zo_core.payloads.core import DenseWeights, Payload
from zo_core.payloads.encoding import payload
from zo_core.payloads.fields import U32, Array, Floats
from zo_core.replica import Replica, gather
from zo_core.state import MethodState, state_as

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Control(MethodState):
    """A control variate: the server's c, which every replica has, or a client's c_i."""

    value: Any  # (P,)


@payload(kind=15)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ControlledWeights(Payload):
    """Weights and buffers with a control variate: up, the change of c_i; down, c."""

    slot: U32  # client slot; 0 on the down-link
    samples: U32  # n_k, the client's training samples; 0 on the down-link
    # (count,): trainable weights in stream order, then buffers
    values: Annotated[Floats, Array(np.float32, "Q", counted=True)]
    control: Annotated[Floats, Array(np.float32, "Q", counted=True)]  # (P,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaffold(FedAvg):
    """Local SGD with control variates; all clients of a cohort count alike."""

    clients: int  # N, of the whole roster
    name: str = "scaffold"

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Train on the shard and return the weights and the change of the client's control.

        Raises:
            NonFiniteWeightsError: the training diverged; the client's control stays.
        """
        size = replica.params.num_elements
        before = gather(replica.params.arrays)
        trained = cast(DenseWeights, DenseAveraging.client_update(self, replica, client, context))
        steps = self.local_epochs * -(-len(client.x) // self.batch_size)
        drift = (before - trained.values[:size]) / np.float32(steps * self.client_lr)
        own = control_of(replica.client_states.get(client.slot), size)
        change = (drift - control_of(replica.shared_state, size)).astype(np.float32)
        replica.client_states[client.slot] = Control(own + change)
        return ControlledWeights(
            run_id=trained.run_id,
            round_index=trained.round_index,
            slot=trained.slot,
            samples=trained.samples,
            values=trained.values,
            control=change,
        )

    def train_(self, replica: Replica, client: ClientData, context: RoundContext) -> None:
        """Take some epochs of corrected SGD over the shard."""
        import torch

        size = replica.params.num_elements
        own = control_of(replica.client_states.get(client.slot), size)
        correction = own - control_of(replica.shared_state, size)
        arrays, ends = replica.params.arrays, np.cumsum(replica.params.sizes)[:-1]
        parts = [
            torch.from_numpy(part).view(array.shape).to(array.device)
            for part, array in zip(np.split(correction, ends), arrays, strict=True)
        ]
        inner = self.sgd_step(client, context)
        step = partial(corrected_step_, step=inner, weights=arrays, corrections=parts)
        criterion = self.criterion or replica.criterion
        self.train_module_(replica.module, client, context, criterion, step=step)

    def server_result(
        self, replica: Replica, updates: Iterable[Payload], context: RoundContext
    ) -> tuple[Payload, ApplyReport]:
        """Average weights and changes of control in float64, step both, return them."""
        size = replica.params.num_elements
        control = control_of(replica.shared_state, size).astype(np.float64)

        def folded() -> Iterable[Payload]:
            for update in updates:
                controlled = cast(ControlledWeights, update)
                control[...] += controlled.control / self.clients
                yield controlled

        dense, report = DenseAveraging.server_result(self, replica, folded(), context)
        result = ControlledWeights(
            run_id=context.run_id,
            round_index=context.round_index,
            slot=0,
            samples=0,
            values=cast(DenseWeights, dense).values,
            control=control.astype(np.float32),
        )
        keep_(replica, result)
        return result, report

    def received(self, replica: Replica, update: Payload) -> DenseWeights:
        """Return a client's weights, of which each counts alike."""
        controlled = cast(ControlledWeights, update)
        return DenseWeights(
            run_id=controlled.run_id,
            round_index=controlled.round_index,
            slot=controlled.slot,
            samples=1,
            values=controlled.values,
        )

    def apply_(self, replica: Replica, result: Payload, context: RoundContext) -> ApplyReport:
        """Take over the server's weights and control."""
        controlled = cast(ControlledWeights, result)
        replica.overwrite_(self.state(replica), controlled.values)
        keep_(replica, controlled)
        return ApplyReport()

    def client_state_bytes(self, replica: Replica) -> int:
        """Bytes that a client keeps between rounds: its control and the server's."""
        return 2 * FLOAT_BYTES * replica.params.num_elements


def control_of(state: MethodState | None, size: int) -> npt.NDArray[np.float32]:
    """Return a control variate, (size,); zeros where there is none yet."""
    control = state_as(Control, state, (size,))
    return np.zeros(size, np.float32) if control is None else gather([control.value])


def keep_(replica: Replica, result: ControlledWeights) -> None:
    """Make the control of a result the replica's."""
    replica.invalidate_digest()
    replica.shared_state = Control(replica.beside_weights(result.control))


def corrected_step_(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    lr: float,
    step: SGDStep,
    weights: Sequence[torch.Tensor],
    corrections: Sequence[torch.Tensor],
    criterion: Criterion = cross_entropy,
) -> None:
    """Take a first-order step and its correction in place: w -= lr (g - correction).

    Args:
        module: maps x to outputs.
        x: inputs, (items, ...).
        y: targets, (items, ...).
        lr: learning rate.
        step: takes w -= lr g.
        weights: the module's trainable tensors.
        corrections: c_i - c, of their shapes.
        criterion: gives the loss of each item.
    """
    import torch

    step(module, x, y, lr=lr, criterion=criterion)
    with torch.no_grad():
        for array, correction in zip(weights, corrections, strict=True):
            array.add_(correction, alpha=lr)


def scaffold(config: TrainConfig, options: FedAvgOptions, high: tuple[int, ...]) -> Algorithm:
    """SCAFFOLD: local steps corrected by control variates, sent with the weights."""
    method = Scaffold(
        **local_sgd_fields(config, options), server_lr=options.server_lr, clients=config.clients
    )
    return one_phase(method, config, tuple(range(config.clients)))
