"""What a round costs one client of a training run: tensors at the peak, time, and joules.

A real round of each phase is run on the run's own data, and one client of each group is measured
while it computes its update and applies the result.  The functions run in a fresh process, take
plain JSON, return dataclasses and import torch only when they run.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import devices
from bench.records.details.training import ClientCost
from bench.step_variants import BACKPROP_VARIANTS, FORWARD_VARIANTS, PLAIN, NotAdmitted
from bench.workloads.timing import time_once

if TYPE_CHECKING:
    from devices.tensor_peak import TensorPeak
    from zo_core.data import Dataset
    from zo_core.federation.simulation.training import Training
    from zo_core.loss.passes import Passes


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a round of each phase costs a client of each group that takes part."""

    costs: tuple[ClientCost, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantCosts:
    """A training variant, with its steps taken in each form."""

    phase_rounds: tuple[int, ...]
    by_step_variant: Mapping[str, Costs | NotAdmitted]  # PLAIN, or a name in bench.step_variants


def measure_variants(
    variants: Mapping[str, Mapping[str, Any]],
    repeats: int,
    *,
    data_dir: str | None = None,
    verify: bool = True,
    step_variants: Sequence[str] | None = None,
    device: str = "cpu",
) -> dict[str, VariantCosts]:
    """Measure a client's round with each variant of its steps.

    Args:
        variants: arguments of train_config, by name.
        repeats: of the time, at least 1; one more comes first, unmeasured.
        data_dir: folder of a data set that is files.
        verify: compare its checksums.
        step_variants: names of those to be measured beside the plain one; None for all.
        device: "cpu" or "cuda".

    Returns:
        The costs by variant.
    """
    from zo_core.data import load_dataset

    folder = None if data_dir is None else Path(data_dir)
    return {
        name: _measure(
            *(fields, repeats),
            load_dataset(fields["dataset"], data_dir=folder, verify=verify),
            step_variants,
            device,
        )
        for name, fields in variants.items()
    }


def _measure(
    fields: Mapping[str, Any],
    repeats: int,
    dataset: Dataset,
    chosen: Sequence[str] | None,
    device: str,
) -> VariantCosts:
    from zo_core.algorithms import train_config
    from zo_core.federation.simulation.training import Training

    phases = Training(train_config(**fields), dataset, device=device).schedule.algorithm.phases
    # the first round of each phase is reached at once: what a client does depends on no weight
    short = {**fields, "rounds": len(phases), "pivot": min(1, fields["pivot"])}
    training = Training(train_config(**short), dataset, device=device)
    clients = [client for phase in range(len(phases)) for client in _clients(training, phase)]

    def costs(changes: Mapping[str, Any]) -> Costs | NotAdmitted:
        methods = _methods(train_config(**{**short, **changes}), training.high)
        try:
            return Costs(costs=tuple(client.costs(methods, repeats) for client in clients))
        except ValueError as error:
            return NotAdmitted(error=str(error))

    plain = costs({})
    found = {PLAIN: plain}
    low = [c for c in plain.costs if c.group == "low"] if isinstance(plain, Costs) else []
    if low:
        by_backprop = any(cost.backprop for cost in low)
        found |= {
            variant.name: costs(variant.settings)
            for variant in (BACKPROP_VARIANTS if by_backprop else FORWARD_VARIANTS)
            if chosen is None or variant.name in chosen
        }
    return VariantCosts(phase_rounds=tuple(phase.rounds for phase in phases), by_step_variant=found)


def _methods(config: Any, high: tuple[int, ...]) -> list[Any]:
    from zo_core.algorithms import build_algorithm

    return [phase.method for phase in build_algorithm(config, high).phases]


def _clients(training: Training, phase_index: int) -> list[_Client]:
    """Run a phase's first round; return a client of each group, as it was before the round."""
    phase = training.schedule.algorithm.phases[phase_index]
    training.prepare(phase_index)
    before = _copy(training.replica)
    result = training.step(phase_index).result
    groups = {
        "high": [slot for slot in phase.pool if slot in training.high],
        "low": [slot for slot in phase.pool if slot not in training.high],
    }
    return [
        _Client(training, phase_index, group, slots[0], state=(before, result))
        for group, slots in groups.items()
        if slots
    ]


class _Client:
    """One client of one round, as often as it is asked for."""

    def __init__(
        self, training: Training, phase: int, group: str, slot: int, *, state: tuple[Any, Any]
    ) -> None:
        self._phase, self._group = phase, group
        self._context = training.context_of(phase)
        self._before, self._result = state
        shard = training.client_data(slot)  # views: their storage holds all clients' items
        self._data = replace(shard, x=shard.x.clone(), y=shard.y.clone())
        self._device_type = shard.x.device.type
        self._precision = training.config.precision

    def costs(self, methods: Sequence[Any], repeats: int) -> ClientCost:
        """Measure the round as one of the methods takes it."""
        self._method = methods[self._phase]
        peak, passes, state = self._tensors()
        seconds, joules = self._time(repeats)
        kinds = peak.by_category
        return ClientCost(
            phase=self._phase,
            method=self._method.name,
            group=self._group,
            backprop=passes.backward_items > 0,
            forwards=passes.forward_items > passes.backward_items,
            peak_bytes=peak.peak_bytes + state,
            by_category={**kinds, "optimiser": kinds["optimiser"] + state},
            seconds=tuple(seconds),
            joules=None if joules.value is None else joules.value / repeats,
            joules_reason=joules.reason,
        )

    def _tensors(self) -> tuple[TensorPeak, Passes, int]:
        """Take the update's peak of live tensors, its passes, and its state outside of torch."""
        from devices.tensor_memory import track_tensors
        from zo_core.loss.passes import counting_passes

        replica = _copy(self._before)
        module = replica.module
        # whoever trains a copy cut to a width holds that alone, and the tracker sees it made
        held = [] if self._trains_a_part() else [*module.parameters()]
        existing = [*module.buffers(), self._data.x, self._data.y]
        with (
            counting_passes() as passes,
            self._computing(),
            track_tensors(parameters=held, existing=existing) as found,
        ):
            self._method.client_update(replica, self._data, self._context)
        return found.result(), passes, self._method.client_state_bytes(replica)

    def _trains_a_part(self) -> bool:
        from zo_core.algorithms.baselines.heterofl import HeteroFL

        return isinstance(self._method, HeteroFL)

    def _time(self, repeats: int) -> tuple[list[float], devices.Reading]:
        """Time the update and the result's application, and take the joules of all repeats."""
        copies = [_copy(self._before) for _ in range(repeats + 1)]
        self._round_(copies.pop())
        meter = devices.energy_meter()
        meter.start()
        seconds = [time_once(partial(self._synchronised_round_, replica)) for replica in copies]
        return seconds, meter.stop()

    def _synchronised_round_(self, replica: Any) -> None:
        self._round_(replica)
        devices.synchronise()

    def _round_(self, replica: Any) -> None:
        with self._computing():
            self._method.client_update(replica, self._data, self._context)
            self._method.apply_(replica, self._result, self._context)

    def _computing(self) -> AbstractContextManager[None]:
        from zo_core.loss.precision import computing_in

        forwards_only = not self._method.trains_locally
        return computing_in(self._precision, self._device_type, forwards_only=forwards_only)


def _copy(replica: Any) -> Any:
    """Make another replica of the same state; a deep copy's weights would not be its module's."""
    from zo_core.replica import Replica

    other = Replica(copy.deepcopy(replica.module))
    other.restore_(replica.snapshot(run_id=0, round_index=0))
    return other
