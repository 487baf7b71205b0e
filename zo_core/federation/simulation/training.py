"""A whole training run in one process: phases, hand-over, rounds, evaluation, accounting.

Every replica of a run holds the same bits, so one resident model stands for the server and all
clients; the log and the digest are what other replicas are checked by.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Final

from zo_core.algorithms.methods.fedadam import FedAdam
from zo_core.algorithms.methods.fedavg import FedAvg
from zo_core.algorithms.registry import row_of
from zo_core.config import TrainConfig
from zo_core.data import Dataset
from zo_core.federation.build import (
    built_model,
    checked_noise,
    choose_forward,
    federated_data,
    items_ahead,
    laid_out,
)
from zo_core.federation.log import RoundLog
from zo_core.federation.record import Evaluation, TrainingRecord
from zo_core.federation.round_schedule import Schedule
from zo_core.federation.rounds import RoundRecord, run_round
from zo_core.federation.simulation.evaluation import Evaluator
from zo_core.federation.simulation.kernel_cache import bound_kernel_cache
from zo_core.federation.simulation.late_digests import LateDigests
from zo_core.first_order.graphed_steps import GraphedSteps
from zo_core.loss.forward_mode import FORWARD_MODES
from zo_core.loss.module_loss import micro_batches
from zo_core.loss.noise import as_json
from zo_core.loss.passes import counting_passes
from zo_core.loss.precision import computing_in
from zo_core.method import ClientData, Method, Phase, RoundContext
from zo_core.models.statistics import collect_statistics_
from zo_core.off_grid_checks import NonFiniteWeightsError
from zo_core.payloads.core import Snapshot
from zo_core.spsa import NonFiniteLossError
from zo_core.threads import Threads, choose_threads
from zo_core.weight_grid import GridError

# whose clients' layers compute the same in every step: others mask or replace some of them
_PLAIN_SGD: Final = (FedAvg, FedAdam)
Progress = Callable[[TrainingRecord], None]  # called after each round


class Training:
    """One run: who takes part in it, and the loop over its rounds.

    Args:
        config: how to train.
        dataset: what config.dataset names.
        device: a torch device.
        base: weights of a trained language model to start from, which are evaluated first; None
            for the initial weights of the run's seed.
        threads: CPU threads; "auto" for the best of a trial, None for as torch has it.

    Raises:
        ValueError: an unknown algorithm or model, or clients that the data cannot serve.
        PrecisionError: the config's precision is too coarse for this model, and is not forced.
    """

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        *,
        device: str = "cpu",
        base: Snapshot | None = None,
        threads: Threads = None,
    ) -> None:
        self.config = config
        self.schedule = Schedule(config)
        self.high = self.schedule.high
        self.data = federated_data(config, dataset, device)
        self.schedule.algorithm.require_items(min(self.data.samples))
        built = built_model(config, dataset, device, base)
        self.replica = built.replica
        bound_kernel_cache(self.replica.module)
        self._evaluates_first = base is not None
        self.log: RoundLog | None = None  # from the hand-over on
        self.record = TrainingRecord(
            config=config, high=self.high, outputs=built.outputs, remarks=list(built.remarks)
        )
        module, x = self.replica.module, self.data.client(0).x
        record = self.record
        record.threads, record.threads_trial_s = choose_threads(threads, module, x)
        ahead = items_ahead(config, self.schedule.algorithm.phases, self.data.samples)
        chosen = choose_forward(config, module, x, items_ahead=ahead)
        record.forward_trial_s, record.forward_trial_cost_s = chosen.seconds, chosen.cost_s
        self._graph = chosen.compiled
        self.set_forward(chosen.mode)
        self.record.chance_level = self._evaluator.chance_level()
        self._device_type = self.data.items.x.device.type
        self._steps = GraphedSteps(module) if self._device_type == "cuda" else None
        on_host = self._device_type == "cpu"  # where hashing would take a core from the forwards
        self._late = None if on_host else LateDigests(self.replica)
        if any(not phase.method.trains_locally for phase in self.schedule.algorithm.phases):
            noise = checked_noise(config, self.replica, self.data.client(0))
            self.record.scalar_noise = as_json(noise)

    def set_forward(self, mode: str) -> None:
        """Run forwards in a mode from here on; the data is laid out for it.

        Args:
            mode: a name in FORWARD_MODES; a graph that the trial compiled is used again.
        """
        self.record.forward = mode
        self._forward = FORWARD_MODES[mode]
        graph = self._graph if self._forward.compiled else None
        self._losses = graph or self._forward.forward_of(self.replica.module)
        self.data = replace(
            self.data,
            items=laid_out(self.data.items, self._forward),
            test=laid_out(self.data.test, self._forward),
        )
        self._evaluator = Evaluator(self.data, self.high, self.replica.criterion)

    def run(
        self,
        progress: Progress | None = None,
        *,
        save: Callable[[], None] | None = None,
        save_every: int = 20,
        stop: Callable[[], bool] = lambda: False,
    ) -> TrainingRecord:
        """Run all rounds that are left; a run that diverges stops there and its record says so.

        Args:
            progress: called after each round.
            save: saves the run between two rounds, for example as a checkpoint
                (:func:`zo_core.federation.simulation.run_checkpoint.save`); None for nowhere.
            save_every: rounds between two calls of save; the last round is saved as well.
            stop: asked after each round; True saves the run and returns its unfinished record.
        """
        try:
            return self._run(progress, save, save_every, stop)
        finally:
            self._settle()

    def _run(
        self,
        progress: Progress | None,
        save: Callable[[], None] | None,
        save_every: int,
        stop: Callable[[], bool],
    ) -> TrainingRecord:
        record = self.record
        if self._evaluates_first and not record.curve:
            self.prepare(0)
            record.curve.append(self.evaluate())
        for round_index in range(record.rounds_done, self.schedule.rounds):
            try:
                self._step(round_index, self._late)
            except (GridError, NonFiniteLossError, NonFiniteWeightsError) as error:
                record.outcome, record.reason = "diverged", f"round {round_index}: {error}"
                break
            if record.rounds_done % self.config.eval_every == 0:
                record.curve.append(self.evaluate())
            stopping = stop() and not self.is_done
            due = record.rounds_done % save_every == 0
            if save is not None and (due or stopping or self.is_done):
                self._settle()
                save()
            if progress is not None:
                progress(record)
            if stopping:
                return record
        if not record.curve or record.curve[-1].rounds_done != record.rounds_done:
            record.curve.append(self.evaluate())
        record.digest = self.replica.digest().hex()
        return record

    @property
    def label(self) -> str:
        """The algorithm's written form, for reports."""
        return row_of(self.config.algorithm).label

    @property
    def is_done(self) -> bool:
        """No round is left."""
        return self.record.rounds_done == self.schedule.rounds

    def step(self, round_index: int) -> RoundRecord:
        """Run one round, after the hand-over where that is due, and account for it."""
        self._settle()
        return self._step(round_index, None)

    def _settle(self) -> None:
        if self._late is not None:
            self._late.settle()

    def _step(self, round_index: int, late: LateDigests | None) -> RoundRecord:
        """Run a round; its result is logged at once, or late: with its digest."""
        method = self.schedule.method_at(round_index)
        started = time.perf_counter()
        self.prepare(round_index)
        computing = self._computing(forwards_only=not method.trains_locally)
        with (
            computing,
            nullcontext() if late is None else self.replica.without_digests(),
            self._forward.active(),
            self._accelerated(method),
            counting_passes() as passes,
        ):
            done = run_round(
                method,
                self.replica,
                self.client_data,
                self.context_of(round_index),
                roster_size=self.config.clients,
            )
        if self.log is not None and late is not None:
            late.add(done.result, self.log.append)
        elif self.log is not None:
            self.log.append(done.result)
        self.record.add_round(done, passes, time.perf_counter() - started)
        self.record.compilations = self._losses.compilations
        return done

    def prepare(self, round_index: int) -> None:
        """Hand over to phase two where a round is its first and that has not been done."""
        phase = self.schedule.phase_at(round_index)
        if self.log is None and phase.method.needs_hand_over:
            self._hand_over(phase, round_index)

    def context_of(self, round_index: int) -> RoundContext:
        """Derive what every party knows of a round."""
        return self.schedule.context_of(
            round_index, run_id=self.config.run_seed, samples=self.data.samples
        )

    def client_data(self, slot: int) -> ClientData:
        """Return a client's training shard, a view."""
        split = self.data.client(slot)
        return ClientData(slot=slot, x=split.x, y=split.y)

    def evaluate(self) -> Evaluation:
        """Measure the model as it stands on the test split and the clients' hold-outs."""
        with self._computing(forwards_only=False), self._forward.active():
            self._collect_statistics()
            accuracy = self._evaluator.measure(self.replica.module)
        return Evaluation(
            rounds_done=self.record.rounds_done,
            test_accuracy=accuracy.test,
            high_accuracy=accuracy.high,
            low_accuracy=accuracy.low,
            worst_decile_accuracy=accuracy.worst_decile,
            up_payload_bytes=self.record.up_payload_bytes,
            down_payload_bytes=self.record.down_payload_bytes,
            item_passes=self.record.item_passes,
            elapsed_s=self.record.elapsed_s,
            test_loss=accuracy.test_loss,
            holdout_loss=accuracy.holdout_loss,
        )

    def _computing(self, *, forwards_only: bool) -> AbstractContextManager[None]:
        precision = self.config.precision
        return computing_in(precision, self._device_type, forwards_only=forwards_only)

    def _accelerated(self, method: Method) -> AbstractContextManager[None]:
        """Run a round's forwards compiled, or the steps of plain local SGD as CUDA graphs."""
        if not method.trains_locally:
            return self._losses.active()
        if self._steps is not None and type(method) in _PLAIN_SGD:
            return self._steps.active()
        return nullcontext()

    def _collect_statistics(self) -> None:
        """Query the clients one after the other for static batch norm's statistics."""
        size = self.schedule.algorithm.statistics_batch
        if size is None:
            return
        shards = (self.data.client(slot) for slot in range(self.config.clients))
        batches = (x for shard in shards for x, _ in micro_batches(shard.x, shard.y, size))
        collect_statistics_(self.replica.module, batches)
        self.replica.invalidate_digest()

    def _hand_over(self, phase: Phase, round_index: int) -> None:
        """Freeze the warm-up's model as the origin of all replicas and send it to who follows."""
        if self._steps is not None:
            self._steps.release()
        everyone = phase.method.result_to_everyone
        snapshot = self.replica.hand_over_(
            run_id=self.config.run_seed, round_index=round_index, grid=phase.method.needs_grid
        )
        self.log = RoundLog(snapshot, self.context_of)
        receivers = self.config.clients if everyone else len(phase.pool)
        self.record.handover_bytes = snapshot.num_bytes * receivers
        self.record.down_payload_bytes += self.record.handover_bytes
        self.record.down_scalar_bytes += snapshot.scalar_bytes * receivers
