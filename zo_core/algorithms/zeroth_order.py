"""The zeroth-order step of ZOWarmUp's phase two (Legate, Rish, Belilovsky, arXiv 2509.03503,
Algorithm 1): S scalars from each client, one step for all.

Importing this module needs NumPy alone, so that a client without torch runs the same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.base import ApplyReport, ClientData, RoundContext
from zo_core.config import TrainConfig
from zo_core.federation.replica import Replica
from zo_core.optimizer import ReplayReport, apply_updates_
from zo_core.payload import Payload, RoundResult, ScalarUpdate
from zo_core.spsa import loss_differences
from zo_core.stream import derive_seeds

if TYPE_CHECKING:
    from zo_core.loss.module_loss import Criterion


@dataclass(frozen=True, slots=True, kw_only=True)
class ZerothOrderStep:
    """ZOOPT and ZOUPDATE: S scalars from each client over all its data, one step for all."""

    directions: int  # S
    epsilon: float
    tau: float
    lr: float  # product of client and server rate
    literal_tau: bool = True
    average: str = "mean"
    weighted: bool = False
    distribution: str = "rademacher"
    micro_batch: int | None = None
    criterion: Criterion | None = None  # None for cross entropy
    name: str = "zeroth-order"
    downlink_to_everyone: bool = True
    needs_grid: bool = True  # False: plain fp32, which no digest vouches for

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Compute dL along the client's own directions; nothing is applied locally."""
        loss_fn = partial(
            replica.mean_loss,
            client.x,
            client.y,
            micro_batch=self.micro_batch,
            criterion=self.criterion,
        )
        differences = loss_differences(
            loss_fn,
            replica.params,
            self.seeds(context, client.slot),
            epsilon=self.epsilon,
            tau=self.tau,
            grid=replica.grid,
            distribution=self.distribution,
        )
        return ScalarUpdate(
            run_id=context.run_id,
            round_index=context.round_index,
            slot=client.slot,
            digest=replica.digest_prefix(),
            differences=differences,
        )

    def server_result(
        self, replica: Replica, updates: Iterable[Payload], context: RoundContext
    ) -> tuple[Payload, ApplyReport]:
        """Collect the scalars, take the step, return the scalars under the new weights' digest.

        Raises:
            ForkError: on a grid, an update was computed on other weights than the server's.
            ValueError: an update is of another round or cohort, or is not complete.
        """
        checked = (self.checked(update, replica, context) for update in updates)
        scalars = {update.slot: update.differences for update in checked}
        participates = np.array([slot in scalars for slot in context.cohort], dtype=np.bool_)
        differences = np.array([scalars[slot] for slot in sorted(scalars)], dtype=np.float32)
        differences = differences.reshape(len(scalars), self.directions)
        report = self._step_(replica, context, participates, differences)
        result = RoundResult(
            run_id=context.run_id,
            round_index=context.round_index,
            digest=replica.digest_prefix(),
            participates=participates,
            differences=differences,
        )
        return result, report

    def apply_(self, replica: Replica, result: Payload, context: RoundContext) -> ApplyReport:
        """Take the step that a result describes and check the digest that it ends at.

        Raises:
            ForkError: on a grid, these weights are not the server's; resynchronise.
        """
        message = cast(RoundResult, result)
        report = self._step_(replica, context, message.participates, message.differences)
        if self.needs_grid:
            replica.require_digest(message.digest)
        return report

    def seeds(self, context: RoundContext, slot: int) -> list[int]:
        """Derive a client's S seeds of a round."""
        return derive_seeds(
            context.run_seed,
            round_index=context.round_index,
            client_id=slot,
            directions=self.directions,
        )

    def checked(self, payload: Payload, replica: Replica, context: RoundContext) -> ScalarUpdate:
        """Return a client's update, or refuse it; see :meth:`server_result`."""
        update = cast(ScalarUpdate, payload)
        count = update.differences.size
        context.require_expected(update, slot=update.slot, count=count, expected=self.directions)
        if self.needs_grid:
            replica.require_computed_on(update.slot, update.digest)
        return update

    def _step_(
        self,
        replica: Replica,
        context: RoundContext,
        participates: npt.NDArray[np.bool_],
        differences: npt.NDArray[np.float32],
    ) -> ApplyReport:
        slots = [s for s, counts in zip(context.cohort, participates, strict=True) if counts]
        if not slots:  # below the quorum: the round's number is used up, the weights stay
            return ApplyReport()
        seeds = [seed for slot in slots for seed in self.seeds(context, slot)]
        updates = list(zip(seeds, differences.reshape(-1).tolist(), strict=True))
        report = self.move_(replica, updates, self.weights_of(context, participates))
        replica.changed()
        return ApplyReport(zero_share=report.zero_share, widened=report.widened)

    def move_(
        self,
        replica: Replica,
        updates: Sequence[tuple[int, float]],
        weights: Sequence[float] | None,
    ) -> ReplayReport:
        """Take the step of a round's (seed, dL) pairs, weighed by omega."""
        return apply_updates_(
            replica.params,
            updates,
            self.lr,
            epsilon=self.epsilon,
            tau=self.tau,
            literal=self.literal_tau,
            weights=weights,
            grid=replica.grid,
            distribution=self.distribution,
        )

    def weights_of(
        self, context: RoundContext, participates: npt.NDArray[np.bool_]
    ) -> list[float] | None:
        """Omega of each direction: 1 / n (None), 1, or n_k / (S * sum n_k)."""
        if not self.weighted and self.average == "mean":
            return None
        count = int(participates.sum()) * self.directions
        if not self.weighted:
            return [1.0] * count
        samples = np.array(context.samples, dtype=np.float64)[participates]
        shares = samples / (self.directions * samples.sum())
        return [float(share) for share in np.repeat(shares, self.directions)]


def zeroth_order_fields(config: TrainConfig) -> dict[str, Any]:
    """Return the method's fields as a config gives them."""
    return {
        "directions": config.directions,
        "epsilon": config.epsilon,
        "tau": config.tau,
        "lr": config.zo_client_lr * config.zo_server_lr,
        "literal_tau": config.literal_tau,
        "average": config.average,
        "weighted": config.weighted,
        "distribution": config.distribution,
        "micro_batch": config.micro_batch,
        "needs_grid": config.grid,
    }


def zeroth_order_step(config: TrainConfig) -> ZerothOrderStep:
    """Build the method that a config describes."""
    return ZerothOrderStep(**zeroth_order_fields(config))
