"""ZOWarmUp with split directions: as many forwards, but k times as many directions.

The noise of a zeroth-order step falls with the number of distinct directions, and far more slowly
with the number of items behind each.  So a client cuts its n items into k parts and takes S
directions on each part, all at the round's weights: 2 S n item-forwards, as in ZOWarmUp, for k S
directions in place of S.  The round's step is the mean over the k S scalars of all participants:
one list, one rounding.  k = 1 is ZOWarmUp.

Importing this module needs NumPy alone, so that a client without torch runs the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.methods.fedavg import FedAvgOptions, fedavg_method
from zo_core.algorithms.steps.phases import two_phases
from zo_core.algorithms.steps.rate_schedule import SCHEDULES, RateSchedule
from zo_core.algorithms.steps.round_list import RoundList, StepState, Window
from zo_core.algorithms.steps.second_moment import clipped, divisor, moment_after
from zo_core.algorithms.steps.step_length import STEP_LENGTHS, StepLength, mean_of
from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
from zo_core.algorithms.steps.zo_client import (
    ServerRateOptions,
    divided,
    require_message,
    zo_client_fields,
)
from zo_core.config import TrainConfig
from zo_core.fixed_point import coefficients, fixed_point
from zo_core.method import Algorithm, ApplyReport, ClientData, RoundContext
from zo_core.optimizer import replay_
from zo_core.options import choice, count, flag, require, share
from zo_core.payloads.core import Payload
from zo_core.payloads.fields import Floats
from zo_core.payloads.scalars import ENCODINGS
from zo_core.replica import Replica
from zo_core.seeds import derive_round_seeds
from zo_core.spsa import radius
from zo_core.weight_grid import Grid

_MAX_SLOT = 1 << 24  # slots are kept as float32
_NONE = np.empty(0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitStep(ZerothOrderStep):
    """S directions on each of k parts of a client's items; one step for all."""

    splits: int  # k
    schedule: RateSchedule
    beta: float | None  # decay of the second moment; None for none
    clip_quantile: float | None  # of a round's |dL|; None for no clipping
    window: Window  # the last rounds, whose models are averaged at the end
    balanced: bool
    name: str = "zeroth-order-split"

    @property
    def scalars(self) -> int:
        """Scalars that a client sends a round, k S."""
        return self.splits * self.directions

    def client_state_bytes(self, replica: Replica) -> int:
        """Bytes that a client keeps beside the model: second moment, lists, step length."""
        return 4 * self.window.size if self._has_state else 0

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Compute dL along S directions on each part, and the loss where the step follows it."""
        method = self
        if self.balanced:
            from zo_core.loss.balanced import balanced_softmax

            method = replace(self, criterion=balanced_softmax(client.y))
        parts, seen = self.parts(client, context), list[float]()
        seeds = [self.seeds(context, client.slot, p) for p in range(len(parts))]
        differences = method.differences_of(replica, parts, seeds, seen)
        loss = mean_of(seen) if self.sends_loss else None
        return self.update_of(replica, client.slot, context, differences, loss)

    def differences_of(
        self,
        replica: Replica,
        parts: Sequence[ClientData],
        seeds: Sequence[Sequence[int]],
        seen: list[float],
    ) -> npt.NDArray[np.float32]:
        """Compute dL of each part along its own S seeds, (k, S); at the same weights.

        The loss of each forward is appended to ``seen``.
        """
        pairs = zip(parts, seeds, strict=True)
        return np.stack([self.differences(replica, part, own, seen) for part, own in pairs])

    def parts(self, client: ClientData, context: RoundContext) -> list[ClientData]:
        """Cut a client's items into k parts, as local steps cut them."""
        return divided(client, context, self.splits)

    def _step_(
        self,
        replica: Replica,
        context: RoundContext,
        participates: npt.NDArray[np.bool_],
        differences: npt.NDArray[np.float32],
        losses: npt.NDArray[np.float32] = _NONE,
    ) -> ApplyReport:
        state = StepState.of(replica.shared_state, self.window)
        slots = [s for s, counts in zip(context.cohort, participates, strict=True) if counts]
        report, taken = ApplyReport(), None
        if slots:
            state = self._adapted(state, slots, losses)
            taken = self._list(state, replica.grid, context.round_index, slots, differences)
            report = self._replay_(replica, context.run_seed, taken, 1.0)
        state = state.after(context.round_index, taken, self.window)
        if context.round_index + 1 == self.schedule.end:
            self._average_(replica, context, state)
        if self._has_state:
            replica.shared_state = state
        replica.invalidate_digest()
        return report

    def _adapted(self, state: StepState, slots: Sequence[int], losses: Floats) -> StepState:
        """Let the step length follow a round's losses, where it does."""
        if not self.sends_loss:
            return state
        by_slot = dict(zip(slots, losses.tolist(), strict=True))
        after = StepLength.unpacked(state.length).after(by_slot)
        return replace(state, length=after.packed(self.window.clients))

    def _list(
        self,
        state: StepState,
        grid: Grid | None,
        round_index: int,
        slots: Sequence[int],
        differences: npt.NDArray[np.float32],
    ) -> RoundList:
        """Clip a round's scalars and count them in the second moment."""
        scalars = differences
        if self.clip_quantile is not None:
            scalars = clipped(scalars, self.clip_quantile)
        rho, moment = radius(self.epsilon, self.tau, grid), 0.0
        if self.beta is not None:
            moment = moment_after(float(state.moment[0]), scalars, rho=rho, beta=self.beta)
        return RoundList(
            round_index=round_index,
            rho=rho,
            moment=moment,
            steps=int(state.steps[0]) + 1,
            length=StepLength.unpacked(state.length).factor if self.sends_loss else 1.0,
            slots=slots,
            scalars=scalars,
        )

    def _replay_(
        self, replica: Replica, run_seed: int, taken: RoundList, factor: float
    ) -> ApplyReport:
        """Apply a round's list with its coefficients times a factor."""
        rate = self.lr * self.schedule.factor(taken.round_index) * taken.length
        if self.beta is not None:
            rate /= divisor(taken.moment, steps=taken.steps, beta=self.beta)
        c = coefficients(
            taken.scalars.reshape(-1).tolist(),
            lr=rate,
            rho=taken.rho,
            tau=self.tau,
            tau_squared=self.literal_tau,
        )
        seeds = derive_round_seeds(
            run_seed,
            round_index=taken.round_index,
            client_ids=taken.slots,
            directions=self.scalars,
        )
        update = fixed_point(seeds, [factor * value for value in c])
        report = replay_(replica.params, update, replica.grid)
        return ApplyReport(zero_share=report.zero_share, widened=report.widened)

    def _average_(self, replica: Replica, context: RoundContext, state: StepState) -> None:
        """Move to the mean of the weights after each of the last H rounds."""
        last, kept = context.round_index, self.window.rounds
        for back in range(kept - 1):
            taken = state.list_of(last - back, self.window)
            if taken is not None:
                factor = -(kept - 1 - back) / kept
                self._replay_(replica, context.run_seed, taken, factor)

    @property
    def _has_state(self) -> bool:
        return self.beta is not None or self.window.rounds > 0 or self.sends_loss


@dataclass(frozen=True, kw_only=True)
class ZOWarmUpSplitOptions(FedAvgOptions, ServerRateOptions):
    """ZOWarmUp with split directions"""

    splits: int = count(4, "number of parts of a client's items, k; each has its own S directions")
    scalars: str = choice("float32", ENCODINGS, "encoding of the scalars in messages")
    zo_schedule: str = choice(
        "constant", SCHEDULES, "schedule of the learning rate after the pivot"
    )
    zo_step_length: str = choice(
        "constant", STEP_LENGTHS, "whether the learning rate follows the clients' loss"
    )
    second_moment: float | None = share(
        None, "decay of the second moment that scales the step", none="no second moment"
    )
    clip_quantile: float | None = share(
        None, "quantile of |dL| in a round to which larger values are clipped", none="no clipping"
    )
    tail: int | None = count(
        None, "number of last rounds whose models are averaged", none="no average"
    )
    balanced: bool = flag(False, "use the balanced softmax as the loss after the pivot")

    def check(self) -> None:
        """Check that a round's scalars fit a message."""
        super().check()
        require_message(self.directions, "splits", self.splits)


def zowarmup_split(
    config: TrainConfig, options: ZOWarmUpSplitOptions, high: tuple[int, ...]
) -> Algorithm:
    """ZOWarmUp whose clients take their directions on parts of their items."""
    rounds, tail = config.rounds - config.pivot, options.tail or 0
    rule = f"must be at most {rounds}, the rounds after the pivot"
    require(tail <= rounds, "tail", rule, tail)
    own_loss = options.balanced and config.criterion != "cross-entropy"
    require(not own_loss, "balanced", "goes with criterion='cross-entropy' alone", True)
    require(config.clients <= _MAX_SLOT, "clients", f"must be <= {_MAX_SLOT}", config.clients)
    cohort, adapts = config.zo_cohort or config.clients, options.zo_step_length == "adaptive"
    step = SplitStep(
        **zo_client_fields(config, options),
        splits=options.splits,
        encoding=ENCODINGS[options.scalars],
        schedule=RateSchedule(name=options.zo_schedule, first_round=config.pivot, rounds=rounds),
        beta=options.second_moment,
        clip_quantile=options.clip_quantile,
        window=Window(
            rounds=tail,
            cohort=cohort,
            scalars=options.splits * options.directions,
            clients=config.clients if adapts else 0,
        ),
        sends_loss=adapts,
        balanced=options.balanced,
    )
    algorithm = two_phases(fedavg_method(config, options), step, config, high)
    return replace(algorithm, least_items=options.splits)
