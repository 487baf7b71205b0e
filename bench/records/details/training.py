"""Details of the groups accuracy, train and frontier, and what all trainings share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.records.details.arithmetic import ScalarNoise
from bench.records.typed_json import columns


@columns
@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """Accuracy and cumulative cost of a training after some rounds."""

    rounds_done: int
    test_accuracy: float | None  # share of the test split; None where targets are numbers
    high_accuracy: float | None  # share of the high-resource clients' hold-outs
    low_accuracy: float | None  # share of the low-resource clients' hold-outs
    worst_decile_accuracy: float | None = None
    up_payload_bytes: int  # all clients
    down_payload_bytes: int  # all clients, hand-over included
    item_passes: int | None = None  # all clients; a backward counts as two forwards
    elapsed_s: float
    test_loss: float | None = None  # of language models (nats per token) and of own losses
    holdout_loss: float | None = None  # likewise, over all clients' pooled hold-outs

    @property
    def accuracy(self) -> float:
        """The test accuracy of a task that has one.

        Raises:
            ValueError: the targets are numbers.
        """
        if self.test_accuracy is None:
            raise ValueError("targets that are numbers have a test loss and no accuracy")
        return self.test_accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class PassCounts:
    """Items through the model, all clients."""

    forward_items: int
    backward_items: int

    @property
    def items(self) -> int:
        """Passes in forwards: a backward counts as two."""
        return self.forward_items + 2 * self.backward_items


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyDetails:
    """One entry per seed in each field."""

    seeds: tuple[int, ...]
    curves: tuple[tuple[CurvePoint, ...], ...]
    outcomes: tuple[str, ...]  # "finished" or "diverged"
    reasons: tuple[str | None, ...]  # why a training diverged
    digests: tuple[str | None, ...]  # hex, of the final state
    seconds_by_method: tuple[Mapping[str, float], ...] = ()
    passes_by_method: tuple[Mapping[str, PassCounts], ...] = ()

    @property
    def finished_curves(self) -> list[tuple[CurvePoint, ...]]:
        """The curves of the trainings that did not diverge."""
        pairs = zip(self.curves, self.outcomes, strict=True)
        return [curve for curve, outcome in pairs if outcome == "finished"]

    @property
    def num_diverged(self) -> int:
        """How many trainings diverged."""
        return self.outcomes.count("diverged")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a training came to: the figures of zo_core's TrainingRecord."""

    high: tuple[int, ...]  # slots of the high-resource clients
    outcome: str  # "finished", "diverged" or, in a table's cell, "unfinished"
    reason: str | None  # why it diverged
    forward: str  # the forward mode in use
    forward_trial_s: Mapping[str, float]
    chance_level: float | None  # accuracy over all hold-outs that guessing stays below
    rounds_done: int
    curve: tuple[CurvePoint, ...]
    seconds_by_method: Mapping[str, float]
    passes_by_method: Mapping[str, PassCounts]
    widened: tuple[str, ...]  # "round: tensor"
    up_scalar_bytes: int
    up_payload_bytes: int
    down_scalar_bytes: int
    down_payload_bytes: int
    handover_bytes: int
    digest: str | None  # hex, of the final state
    forward_trial_cost_s: float | None = None  # compilation included; None: not recorded
    compilations: int | None = None  # graphs compiled for forwards; None: not recorded
    threads: int | None = None  # of torch on the CPU; None: as the library has it
    threads_trial_s: Mapping[str, float] = field(default_factory=dict)  # a forward, by threads
    scalar_noise: ScalarNoise | None = None  # None: not recorded, or no phase needs scalars
    outputs: str = "outputs"  # the expression that takes the scores out of what forward returns
    remarks: tuple[str, ...] = ()  # on the model, before it is trained

    @property
    def last(self) -> CurvePoint:
        """The last evaluation."""
        return self.curve[-1]

    @property
    def item_passes(self) -> int:
        """Items through the model, all clients; a backward counts as two forwards."""
        return sum(passes.items for passes in self.passes_by_method.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainDetails(TrainingResult):
    """A finished run of the command, its verdict and its memory."""

    config: Mapping[str, Any]  # zo_core.config.TrainConfig
    zero_shares: tuple[float, ...]  # of each step on the grid
    verdict: str  # "finished", "did not converge" or "diverged"
    memory: Mapping[str, Any]  # devices.Measurement
    label: str | None = None  # the algorithm's name in reports; None: its registered name


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCost:
    """What a round of one phase costs a client of one group."""

    phase: int
    method: str
    group: str  # "high" or "low"
    backprop: bool  # whether a gradient was made
    forwards: bool  # whether some forwards had no backward
    peak_bytes: int  # live tensors, weights and the client's data included
    by_category: Mapping[str, int]  # bytes at the peak
    seconds: tuple[float, ...]  # one per repeat
    joules: float | None  # of one round
    joules_reason: str | None  # why joules is None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierDetails:
    """A client's costs, and the training's curves where no accuracy record has them."""

    family: str  # what low-resource clients do, in bench.records.frontier.FAMILIES
    phase_rounds: tuple[int, ...]
    costs: tuple[ClientCost, ...]
    curves: tuple[tuple[CurvePoint, ...], ...] = ()  # by seed
