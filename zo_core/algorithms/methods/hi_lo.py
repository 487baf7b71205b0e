"""ZOWarmUp hi + lo (Legate, Rish, Belilovsky, arXiv 2509.03503, Table 7 and Figure 2): in phase two
the high-resource clients go on with FedAvg, and the server mixes both groups' steps.

w -= gamma g + (1 - gamma) Delta, with g the step of the ZO clients and Delta that of FedAvg.  The
paper gives no gamma; here it is the ZO clients' share of those who took part, or the config's.
Delta reaches everyone as integers on the grid, which costs a dense down-link.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.methods.fedavg import FedAvg, FedAvgOptions, fedavg_method
from zo_core.algorithms.steps.averaging import SampleMean
from zo_core.algorithms.steps.grid_increment import Increment, to_increment
from zo_core.algorithms.steps.mixed import MixedStep, mixed_step_
from zo_core.algorithms.steps.phases import two_phases
from zo_core.algorithms.steps.zeroth_order import WeightedOptions, zeroth_order_fields
from zo_core.algorithms.steps.zo_client import ServerRateOptions
from zo_core.config import TrainConfig
from zo_core.fixed_point import FixedPointUpdate, fixed_point
from zo_core.method import Algorithm, ApplyReport, ClientData, RoundContext
from zo_core.options import share
from zo_core.payloads.core import DenseWeights, MixedResult, Payload, ScalarUpdate
from zo_core.replica import Replica, gather
from zo_core.weight_grid import Grid

_NOTHING: Increment = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class HiLoStep(MixedStep):
    """FedAvg by some, one ZO step by the others, one mixed step for all."""

    high: tuple[int, ...]  # slots that train by backprop
    first_order: FedAvg
    zo_share: float | None  # gamma
    trains_locally: bool = True
    name: str = "hi-lo"

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Train on the shard and return the weights, or compute scalars: by the client's group."""
        if client.slot not in self.high:
            return MixedStep.client_update(self, replica, client, context)
        method = replace(self.first_order, criterion=self.criterion)
        update = cast(DenseWeights, method.client_update(replica, client, context))
        # buffers are frozen since the hand-over and stay at home
        return replace(update, values=update.values[: replica.params.num_elements])

    def server_result(
        self, replica: Replica, updates: Iterable[Payload], context: RoundContext
    ) -> tuple[Payload, ApplyReport]:
        """Fold weights, collect scalars, take the mixed step, return what rebuilds it.

        Raises:
            ForkError: a ZO client's update was computed on other weights than the server's.
            ValueError: an update is of another round or cohort, or is not complete.
            GridError: the step leaves the grid; no weight has changed.
        """
        mean = SampleMean(replica.params.num_elements)
        scalars: dict[int, npt.NDArray[np.float32]] = {}
        slots: set[int] = set()
        for update in updates:
            if isinstance(update, DenseWeights):
                self._require_dense(update, replica, context)
                mean.add(update.values, update.samples)
                slots.add(update.slot)
            else:
                one: ScalarUpdate = self.checked(update, replica, context)
                self._require_group(one.slot, "scalars", high=False)
                scalars[one.slot] = one.differences
        participates = np.array(
            [s in slots or s in scalars for s in context.cohort], dtype=np.bool_
        )
        increment = _NOTHING
        if mean.samples:
            share = 1.0 - self._gamma(context, participates)
            change = mean.value() - gather(replica.params.arrays)
            step = share * self.first_order.server_lr * change
            increment = to_increment(replica.params, step, cast(Grid, replica.grid))
        return self.server_step_(replica, context, participates, scalars, increment)

    def mix_(self, replica: Replica, result: MixedResult, context: RoundContext) -> ApplyReport:
        """Take both groups' steps; either may be absent."""
        grid = cast(Grid, replica.grid)
        update = self._zo_update(grid, result, context) if len(result.differences) else None
        increment = result.increment if result.increment.size else _zeros(replica)
        return mixed_step_(replica, replica, update, increment)

    def _zo_update(
        self, grid: Grid, result: MixedResult, context: RoundContext
    ) -> FixedPointUpdate:
        """Turn the scalars into integers, gamma in the weights omega."""
        sent = result.participates & ~self._is_high(context)
        slots = [s for s, counts in zip(context.cohort, sent, strict=True) if counts]
        gamma = self._gamma(context, result.participates)
        c = self.coefficients(
            result.differences.reshape(-1).tolist(),
            grid.radius(self.epsilon, self.tau),
            [gamma * omega for omega in self.weights_of(context, sent)],
        )
        return fixed_point(self.round_seeds(context, slots), c)

    def _gamma(self, context: RoundContext, participates: npt.NDArray[np.bool_]) -> float:
        everyone = int(participates.sum())
        high = int((participates & self._is_high(context)).sum())
        if high in (0, everyone) or self.zo_share is None:
            return (everyone - high) / everyone
        return self.zo_share

    def _is_high(self, context: RoundContext) -> npt.NDArray[np.bool_]:
        return np.array([slot in self.high for slot in context.cohort], dtype=np.bool_)

    def _require_dense(self, update: DenseWeights, replica: Replica, context: RoundContext) -> None:
        self._require_group(update.slot, "weights", high=True)
        expected = replica.params.num_elements
        context.require_expected(
            update, slot=update.slot, count=update.values.size, expected=expected
        )

    def _require_group(self, slot: int, sent: str, *, high: bool) -> None:
        if (slot in self.high) != high:
            other = "weights" if sent == "scalars" else "scalars"
            raise ValueError(f"slot {slot} must send {other}, as its group does, got {sent}")


def _zeros(replica: Replica) -> Increment:
    return np.zeros(replica.params.num_elements, np.int32)


@dataclass(frozen=True, kw_only=True)
class HiLoOptions(FedAvgOptions, WeightedOptions, ServerRateOptions):
    """ZOWarmUp hi + lo"""

    zo_share: float | None = share(  # gamma of figure 2
        None,
        "weight of the zeroth-order step against the FedAvg step",
        none="the share of ZO clients among the participants",
    )


def zowarmup_hi_lo(config: TrainConfig, options: HiLoOptions, high: tuple[int, ...]) -> Algorithm:
    """ZOWarmUp whose high-resource clients continue with FedAvg after the pivot (Table 7)."""
    first_order = fedavg_method(config, options)
    mixed = HiLoStep(
        **zeroth_order_fields(config, options),
        high=high,
        first_order=first_order,
        zo_share=options.zo_share,
    )
    return two_phases(first_order, mixed, config, high)
