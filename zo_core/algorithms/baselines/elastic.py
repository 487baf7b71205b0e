"""ElasticZO (Sugiura and Matsutani, "ElasticZO: A Memory-Efficient On-Device Learning with Combined
Zeroth- and First-Order Optimization", arXiv 2501.04287) among clients: backprop through the last
layers, forwards for what comes before them.

Both steps are taken from the round's weights.  A client sends S scalars of the ZO part and the
trained weights of the rest; everyone takes one mixed step on the grid, the dense part of it as
integers.  In the paper one device steps on every batch; here a client's part by backprop is local
SGD, as FedAvg's clients do it, and its scalars are over its whole shard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.baselines.partial import (
    PartialFedAvg,
    PartialOptions,
    partial_method,
)
from zo_core.algorithms.methods.fedavg import fedavg_method
from zo_core.algorithms.steps.averaging import SampleMean
from zo_core.algorithms.steps.grid_increment import Increment, to_increment
from zo_core.algorithms.steps.mixed import MixedStep, mixed_step_
from zo_core.algorithms.steps.phases import two_phases
from zo_core.algorithms.steps.zeroth_order import WeightedOptions, zeroth_order_fields
from zo_core.algorithms.steps.zo_client import ServerRateOptions
from zo_core.config import TrainConfig
from zo_core.first_order.trainable_part import trained_tensors, view_of
from zo_core.fixed_point import FixedPointUpdate, fixed_point
from zo_core.method import Algorithm, ApplyReport, ClientData, RoundContext
from zo_core.payloads.core import DenseWeights, ElasticUpdate, MixedResult, Payload
from zo_core.replica import Replica, gather
from zo_core.spsa import radius
from zo_core.weight_grid import Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticStep(MixedStep):
    """One ZO step on the first layers, local SGD on the last, one mixed step for all."""

    first_order: PartialFedAvg
    trains_locally: bool = True
    name: str = "elastic"

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Compute the ZO part's scalars and train the rest; the replica ends as it was."""
        first, _ = self._parts(replica)
        seeds = partial(self.seeds, context, client.slot)
        digest = replica.digest_prefix()
        differences = self.walk(first, client, context, seeds)
        method = replace(self.first_order, criterion=self.criterion)
        trained = cast(DenseWeights, method.client_update(replica, client, context))
        return ElasticUpdate(
            run_id=context.run_id,
            round_index=context.round_index,
            slot=client.slot,
            samples=trained.samples,
            digest=digest,
            differences=differences.reshape(-1),
            values=trained.values,
        )

    def server_result(
        self, replica: Replica, updates: Iterable[Payload], context: RoundContext
    ) -> tuple[Payload, ApplyReport]:
        """Fold weights, collect scalars, take the mixed step, return what rebuilds it.

        Raises:
            ForkError: an update was computed on other weights than the server's.
            ValueError: an update is of another round or cohort, or is not complete.
            GridError: the step leaves the grid; no weight has changed.
        """
        _, last = self._parts(replica)
        mean = SampleMean(last.params.num_elements)
        scalars: dict[int, npt.NDArray[np.float32]] = {}
        for payload in updates:
            update = self._complete(payload, last, replica, context)
            mean.add(update.values, update.samples)
            scalars[update.slot] = update.differences
        before = gather(last.params.arrays)
        change = mean.value() - before if mean.samples else np.zeros(before.size)
        step = self.first_order.server_lr * change
        increment = to_increment(last.params, step, cast(Grid, last.grid))
        participates = np.array([slot in scalars for slot in context.cohort], dtype=np.bool_)
        return self.server_step_(replica, context, participates, scalars, increment)

    def mix_(self, replica: Replica, result: MixedResult, context: RoundContext) -> ApplyReport:
        """Take the step on both parts."""
        if not len(result.differences):  # below the quorum
            return ApplyReport()
        first, _ = self._parts(replica)
        update = self._update(first, result, context)
        return mixed_step_(replica, first, update, self._whole(replica, result.increment))

    def _update(
        self, first: Replica, result: MixedResult, context: RoundContext
    ) -> FixedPointUpdate:
        taking_part = zip(context.cohort, result.participates, strict=True)
        c = self.coefficients(
            result.differences.reshape(-1).tolist(),
            radius(self.epsilon, self.tau, first.grid),
            self.weights_of(context, result.participates),
        )
        return fixed_point(self.round_seeds(context, [s for s, sent in taking_part if sent]), c)

    def _whole(self, replica: Replica, increment: Increment) -> Increment:
        """Spread an increment of the last layers over all weights, 0 elsewhere."""
        trained = trained_tensors(replica.module, self.first_order.trained)
        sizes = replica.params.sizes
        mask = np.repeat([index in trained for index in range(len(sizes))], sizes)
        whole: Increment = np.zeros(replica.params.num_elements, np.int32)
        whole[mask] = increment
        return whole

    def _parts(self, replica: Replica) -> tuple[Replica, Replica]:
        """Divide the weights: by forwards, by backprop.

        Raises:
            ValueError: nothing is left for forwards.
        """
        trained = trained_tensors(replica.module, self.first_order.trained)
        rest = [index for index in range(len(replica.params.sizes)) if index not in trained]
        if not rest:
            raise ValueError(
                f"trained must leave some weights to forwards, got {self.first_order.trained} of "
                f"{type(replica.module).__name__}, which is all of it (train fewer layers)"
            )
        return view_of(replica, rest), view_of(replica, trained)

    def _complete(
        self, payload: Payload, last: Replica, replica: Replica, context: RoundContext
    ) -> ElasticUpdate:
        update = cast(ElasticUpdate, payload)
        for count, expected in (
            (update.differences.size, self.scalars),
            (update.values.size, last.params.num_elements),
        ):
            context.require_expected(update, slot=update.slot, count=count, expected=expected)
        replica.check_same_weights(update.slot, update.digest)
        return update


@dataclass(frozen=True, kw_only=True)
class ElasticOptions(PartialOptions, WeightedOptions, ServerRateOptions):
    """ElasticZO"""


def zowarmup_elastic(
    config: TrainConfig, options: ElasticOptions, high: tuple[int, ...]
) -> Algorithm:
    """ElasticZO: after the pivot everyone trains the last layers by backprop and the rest by ZO."""
    fields = zeroth_order_fields(config, options)
    step = ElasticStep(**fields, first_order=partial_method(config, options))
    return two_phases(fedavg_method(config, options), step, config, high)
