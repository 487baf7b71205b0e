"""The zeroth-order step of ZOWarmUp's phase two (Legate, Rish, Belilovsky, arXiv 2509.03503,
Algorithm 1): S scalars from each client, one step for all.

With T local steps (the paper's Table 3) a client walks w_1, ..., w_T through the round, dividing
its items among the steps, returns to the round's weights and sends S T scalars.  Everyone then
moves to the mean of where the clients' walks end: w -= lr sum_k omega_k sum_t sum_s (dL_kts / (2
rho)) z_kts with omega_k = 1 / (S |Q|), which for T = 1 is the mean over the round's directions.
The sum over steps is one list and is rounded once, so the weights of a round with one client are
the end of its walk up to T roundings.

Importing this module needs NumPy alone, so that a client without torch runs the same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.steps.zo_client import (
    LocalStepOptions,
    ZerothOrderClient,
    local_step_fields,
)
from zo_core.kernels import DISTRIBUTIONS
from zo_core.method import ApplyReport, ClientData, RoundContext
from zo_core.optimizer import ReplayReport, apply_updates_
from zo_core.options import choice, flag, require
from zo_core.payloads.core import Payload, RoundResult, ScalarUpdate
from zo_core.payloads.scalars import ScalarEncoding, decoded
from zo_core.replica import Replica
from zo_core.seeds import derive_round_seeds

if TYPE_CHECKING:
    from zo_core.config import TrainConfig

_NONE = np.empty(0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZerothOrderStep(ZerothOrderClient):
    """ZOOPT and ZOUPDATE: S scalars a local step from each client, one step for all."""

    weighted: bool = False
    name: str = "zeroth-order"
    result_to_everyone: bool = True
    sends_weights: bool = False
    trains_locally: bool = False
    needs_hand_over: bool = True
    needs_grid: bool = True  # False: plain fp32, which no digest vouches for
    encoding: ScalarEncoding = ScalarEncoding.FLOAT32  # of the scalars in messages
    sends_loss: bool = False  # whether a client's mean loss goes with its scalars

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Compute dL along the client's own directions, S of each local step."""
        differences = self.walk(replica, client, context, partial(self.seeds, context, client.slot))
        return self.update_of(replica, client.slot, context, differences)

    def update_of(
        self,
        replica: Replica,
        slot: int,
        context: RoundContext,
        differences: npt.NDArray[np.float32],
        loss: float | None = None,
    ) -> ScalarUpdate:
        """Compose a client's message of its scalars, and of its loss where it sends that."""
        return ScalarUpdate(
            run_id=context.run_id,
            round_index=context.round_index,
            slot=slot,
            digest=replica.digest_prefix(),
            encoding=self.encoding,
            loss=loss,
            differences=decoded(differences.reshape(-1), self.encoding),
        )

    def server_result(
        self, replica: Replica, updates: Iterable[Payload], context: RoundContext
    ) -> tuple[Payload, ApplyReport]:
        """Collect the scalars, take the step, return the scalars under the new weights' digest.

        Raises:
            ForkError: on a grid, an update was computed on other weights than the server's.
            ValueError: an update is of another round or cohort, or is not complete.
        """
        come = self._by_slot(updates, replica, context)
        participates = np.array([slot in come for slot in context.cohort], dtype=np.bool_)
        rows = [update.differences for update in come.values()]
        differences = np.concatenate([_NONE, *rows], dtype=np.float32).reshape(-1, self.scalars)
        losses = np.array([u.loss for u in come.values() if u.loss is not None], np.float32)
        report = self._step_(replica, context, participates, differences, losses)
        result = RoundResult(
            run_id=context.run_id,
            round_index=context.round_index,
            digest=replica.digest_prefix(),
            participates=participates,
            encoding=self.encoding,
            losses=losses,
            differences=differences,
        )
        return result, report

    def apply_(self, replica: Replica, result: Payload, context: RoundContext) -> ApplyReport:
        """Take the step that a result describes and check the digest that it ends at.

        Raises:
            ForkError: on a grid, these weights are not the server's; resynchronise.
        """
        message = cast(RoundResult, result)
        report = self._step_(
            replica, context, message.participates, message.differences, message.losses
        )
        if self.needs_grid:
            replica.require_digest(message.digest)
        return report

    @property
    def scalars(self) -> int:
        """Scalars that a client sends a round, S T."""
        return self.directions * self.local_steps

    def round_seeds(self, context: RoundContext, slots: Iterable[int]) -> list[int]:
        """Derive the seeds of a round's scalars: slot after slot, step after step."""
        return derive_round_seeds(
            context.run_seed,
            round_index=context.round_index,
            client_ids=list(slots),
            directions=self.scalars,
        )

    def _by_slot(
        self, updates: Iterable[Payload], replica: Replica, context: RoundContext
    ) -> dict[int, ScalarUpdate]:
        """Check the updates all at once, or one by one to name what is wrong; by ascending slot."""
        come = cast("list[ScalarUpdate]", list(updates))
        usual = (context.run_id, context.round_index, self.encoding, self.sends_loss, self.scalars)
        expected = {(*usual, replica.digest_prefix())} if come else set()
        found = {
            (u.run_id, u.round_index, u.encoding, u.has_loss, u.differences.size, u.digest)
            for u in come
        }
        if found != expected or not set(context.cohort).issuperset(u.slot for u in come):
            for update in come:
                self.checked(update, replica, context)
        return {update.slot: update for update in sorted(come, key=attrgetter("slot"))}

    def checked(self, payload: Payload, replica: Replica, context: RoundContext) -> ScalarUpdate:
        """Return a client's update, or refuse it; see :meth:`server_result`."""
        update = cast(ScalarUpdate, payload)
        count = update.differences.size
        context.require_expected(update, slot=update.slot, count=count, expected=self.scalars)
        if update.has_loss != self.sends_loss:
            raise ValueError(
                f"an update must have {'a' if self.sends_loss else 'no'} loss; both sides must run "
                "the same config"
            )
        if update.encoding != self.encoding:
            raise ValueError(
                f"an update's scalars must be encoded as {self.encoding.name.lower()}, got "
                f"{update.encoding.name.lower()}; both sides must run the same config"
            )
        if self.needs_grid:
            replica.check_same_weights(update.slot, update.digest)
        return update

    def _step_(
        self,
        replica: Replica,
        context: RoundContext,
        participates: npt.NDArray[np.bool_],
        differences: npt.NDArray[np.float32],
        losses: npt.NDArray[np.float32] = _NONE,
    ) -> ApplyReport:
        """Take a round's step; only a method that sends losses depends on them."""
        slots = [s for s, counts in zip(context.cohort, participates, strict=True) if counts]
        if not slots:  # below the quorum: the round's number is used up, the weights stay
            return ApplyReport()
        seeds = self.round_seeds(context, slots)
        updates = list(zip(seeds, differences.reshape(-1).tolist(), strict=True))
        replica.invalidate_digest()
        report = self.move_(replica, context, updates, self.weights_of(context, participates))
        return ApplyReport(zero_share=report.zero_share, widened=report.widened)

    def move_(
        self,
        replica: Replica,
        context: RoundContext,
        updates: Sequence[tuple[int, float]],
        weights: Sequence[float],
    ) -> ReplayReport:
        """Take the step of a round's (seed, dL) pairs, weighed by omega."""
        return apply_updates_(
            replica.params,
            updates,
            self.lr,
            epsilon=self.epsilon,
            tau=self.tau,
            tau_squared=self.literal_tau,
            omegas=weights,
            grid=replica.grid,
            distribution=self.distribution,
        )

    def weights_of(self, context: RoundContext, participates: npt.NDArray[np.bool_]) -> list[float]:
        """Omega of each scalar: 1 / (S |Q|), 1 for the sum, or n_k / (S sum n_k)."""
        count = int(participates.sum())
        if self.average == "sum":
            return [1.0] * (count * self.scalars)
        if not self.weighted:
            return [1.0 / (count * self.directions)] * (count * self.scalars)
        samples = np.array(context.samples, dtype=np.float64)[participates]
        shares = samples / (self.directions * samples.sum())
        return [float(share) for share in np.repeat(shares, self.scalars)]


@dataclass(frozen=True, kw_only=True)
class AverageOptions(LocalStepOptions):
    """Common zeroth-order step"""

    average: str = choice(  # Algorithm 1: sum
        "mean", ("mean", "sum"), "whether the step is the mean or the sum over the directions"
    )


@dataclass(frozen=True, kw_only=True)
class WeightedOptions(AverageOptions):
    """Weighting of clients"""

    weighted: bool = flag(False, "weight the scalars of a client by its number of items; paper: no")

    def check(self) -> None:
        """Check that weights are taken of a mean."""
        super().check()
        sums = self.weighted and self.average == "sum"
        require(not sums, "weighted", "works with average='mean' only", self.weighted)


@dataclass(frozen=True, kw_only=True)
class GridOptions(LocalStepOptions):
    """Weight arithmetic"""

    grid: bool = flag(True, "keep the weights on a grid, so that all replicas are bit-identical")
    distribution: str = choice(  # paper
        "rademacher", DISTRIBUTIONS, "distribution of the directions; the grid needs rademacher"
    )

    def check(self) -> None:
        """Check what the grid excludes and what needs it."""
        super().check()
        exact = not self.grid or self.distribution == "rademacher"
        rule = "must be rademacher on a grid (set grid=False)"
        require(exact, "distribution", rule, self.distribution)
        undone = self.grid or self.local_steps == 1
        require(undone, "grid", "must be True for local_steps > 1", self.grid)


def zeroth_order_fields(config: TrainConfig, options: WeightedOptions) -> dict[str, Any]:
    """Return the method's fields as a config gives them, on the grid."""
    return {
        **local_step_fields(config, options),
        "average": options.average,
        "weighted": options.weighted,
    }


def grid_fields(options: GridOptions) -> dict[str, Any]:
    """Return the fields of a method that also runs without a grid."""
    return {"distribution": options.distribution, "needs_grid": options.grid}
