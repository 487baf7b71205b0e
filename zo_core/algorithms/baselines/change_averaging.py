"""Averaging of coded changes: a client trains, sends a part of its change, the server averages.

What a message leaves out may stay with the client and join its next change (error feedback).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.methods.fedavg import FedAvg
from zo_core.algorithms.steps.averaging import DenseAveraging
from zo_core.method import ClientData, RoundContext
from zo_core.payloads.core import DenseWeights, Payload
from zo_core.payloads.fields import Floats
from zo_core.replica import Replica, gather
from zo_core.state import MethodState


@dataclass(frozen=True)
class Residual(MethodState):
    """What a client kept back of its last change."""

    change: Floats  # (P,)


class CodedChange(Protocol):
    """What every message of a change has besides the change."""

    run_id: int
    round_index: int
    slot: int
    samples: int
    buffers: Floats  # as they are after the client's training


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAveraging(FedAvg):
    """Local SGD on each client; w += lr_s sum n_k x_k / n over the changes x_k that arrive.

    A client holds the round's weights while it trains, since its change is taken from them.
    Buffers are sent whole.
    """

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Train on the shard and return the change as a message; the replica ends as it was.

        Raises:
            NonFiniteWeightsError: the training diverged; what the client keeps stays.
        """
        origin = [array.detach().clone() for array in replica.params.arrays]
        trained = cast(DenseWeights, DenseAveraging.client_update(self, replica, client, context))
        change = trained.values[: replica.params.num_elements] - gather(origin)
        return self.encoded_(replica, change, trained, context)

    @abstractmethod
    def encoded_(
        self, replica: Replica, change: Floats, trained: DenseWeights, context: RoundContext
    ) -> Payload:
        """Encode a client's change, and keep what the message leaves out.

        Args:
            replica: the round's weights; what the client keeps is in its ``client_states``.
            change: (P,), in stream order.
            trained: who sends it, and the client's weights and buffers.
            context: the round.
        """

    @abstractmethod
    def change_of(self, replica: Replica, update: Payload) -> Floats:
        """Decode the change of a message, (P,).

        Raises:
            ValueError: the message is of another model.
        """

    def received(self, replica: Replica, update: Payload) -> DenseWeights:
        """Return a client's weights and buffers as its message gives them."""
        weights = gather(replica.params.arrays) + self.change_of(replica, update)
        coded = cast(CodedChange, update)
        return DenseWeights(
            run_id=coded.run_id,
            round_index=coded.round_index,
            slot=coded.slot,
            samples=coded.samples,
            values=np.concatenate([weights, coded.buffers]),
        )


def require_size(count: int, replica: Replica) -> None:
    """Check that a change is of the replica's model.

    Raises:
        ValueError: it is of another one.
    """
    if count != replica.params.num_elements:
        raise ValueError(
            f"a change must be of {replica.params.num_elements} weights, got {count}; both sides "
            "must build the same model"
        )


def largest(values: Floats, count: int) -> npt.NDArray[np.int64]:
    """Find the positions of the count largest magnitudes, ascending; of equal ones the first."""
    magnitudes = np.abs(values)
    least = np.partition(magnitudes, -count)[-count]
    above = np.flatnonzero(magnitudes > least)
    equal = np.flatnonzero(magnitudes == least)[: count - above.size]
    return np.sort(np.concatenate([above, equal]))


def largest_of_tensors(
    values: Floats, sizes: tuple[int, ...], share: float
) -> npt.NDArray[np.int64]:
    """Find the positions of each tensor's largest magnitudes, ascending.

    Args:
        values: (P,).
        sizes: elements of each tensor.
        share: of a tensor's elements, in (0, 1]; at least one of each.
    """
    starts = np.cumsum([0, *sizes[:-1]])
    found = [
        start + largest(values[start : start + size], int(np.ceil(share * size)))
        for start, size in zip(starts, sizes, strict=True)
        if size
    ]
    return np.concatenate([np.empty(0, np.int64), *found])
