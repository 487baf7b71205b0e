"""Averaging of whole weights: clients train a copy, the server takes the mean by samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from zo_core.kernels.resumable_pass import finish
from zo_core.method import ApplyReport, ClientData, RoundContext
from zo_core.off_grid_checks import NonFiniteWeightsError
from zo_core.payloads.core import DenseWeights, Payload
from zo_core.replica import Replica, gather

if TYPE_CHECKING:
    from zo_core.loss.module_loss import Criterion


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


def commit_(
    replica: Replica, state: Sequence[Any], after: npt.NDArray[np.float32], context: RoundContext
) -> DenseWeights:
    """Write a round's weights to the server's replica and return the message that carries them.

    Args:
        replica: the server's.
        state: the replica's arrays that `after` fills, in its order.
        after: float32, flat.
        context: the round.
    """
    replica.overwrite_(state, after)
    return DenseWeights(
        run_id=context.run_id,
        round_index=context.round_index,
        slot=0,
        samples=0,
        values=after,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseAveraging:
    """Clients train a copy; the server averages by samples: w += lr_s (sum n_k w_k / n - w)."""

    server_lr: float
    criterion: Criterion | None = None  # None for the replica's own
    name: str = "dense-averaging"
    result_to_everyone: bool = False
    sends_weights: bool = True
    trains_locally: bool = True
    needs_hand_over: bool = False
    needs_grid: bool = False

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Train on the shard and return the weights and buffers; the replica ends as it was.

        Raises:
            NonFiniteWeightsError: the training diverged; no message carries such weights.
        """
        state = self.state(replica)
        before = gather(state)
        take_back = partial(replica.overwrite_, state, before)
        try:
            self.train_(replica, client, context)
            after = gather(state)
            take_back()
        except BaseException:
            finish(take_back)
            raise
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
        return commit_(replica, state, after, context), ApplyReport()

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
        replica.overwrite_(self.state(replica), cast(DenseWeights, result).values)
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
