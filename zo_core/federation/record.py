"""What a training run leaves behind, apart from the model."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from zo_core.config import TrainConfig
from zo_core.federation.rounds import RoundRecord
from zo_core.loss.passes import Passes

MAX_ZERO_SHARE = 0.5  # of increments, before a run is warned
MAX_REPEAT_NOISE = 0.01  # of dL, by which two forwards may differ before a run is warned


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Accuracy and cost after some rounds."""

    rounds_done: int
    test_accuracy: float | None  # share of the test split; None where targets are numbers
    high_accuracy: float | None  # over the pooled hold-outs of high-resource clients
    low_accuracy: float | None  # over those of low-resource clients
    worst_decile_accuracy: float | None  # mean over the tenth of the clients that fare worst
    up_payload_bytes: int  # cumulative, all clients
    down_payload_bytes: int  # cumulative, all clients, hand-over included
    item_passes: int  # cumulative, all clients; a backward counts as two forwards
    elapsed_s: float  # of training, without evaluations
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


@dataclass(slots=True, kw_only=True)
class TrainingRecord:
    """A run's outcome; filled in as it goes."""

    config: TrainConfig
    high: tuple[int, ...]  # slots of the high-resource clients
    outcome: Literal["finished", "diverged"] = "finished"
    reason: str | None = None  # why it diverged
    forward: str = "contiguous"  # the mode in use, a name in FORWARD_MODES
    forward_trial_s: dict[str, float] = field(default_factory=dict)  # a forward in each mode tried
    forward_trial_cost_s: float = 0.0  # of the whole trial, compilation included
    compilations: int = 0  # graphs that the process compiled for forwards: one per batch size
    threads: int | None = None  # of torch on the CPU; None: as the library has it
    threads_trial_s: dict[str, float] = field(default_factory=dict)  # a forward, by threads
    scalar_noise: dict[str, Any] | None = None  # a ScalarNoise; None where nothing needs scalars
    outputs: str = "outputs"  # the expression that takes the scores out of what forward returns
    remarks: list[str] = field(default_factory=list)  # on the model, before it is trained
    chance_level: float | None = None  # accuracy over all hold-outs that guessing stays below
    rounds_done: int = 0
    curve: list[Evaluation] = field(default_factory=list)
    seconds_by_method: dict[str, float] = field(default_factory=dict)
    passes_by_method: dict[str, Passes] = field(default_factory=dict)
    zero_shares: list[float] = field(default_factory=list)  # of each step on the grid
    widened: list[str] = field(default_factory=list)  # "round: tensor", each time
    up_scalar_bytes: int = 0  # all clients; what the paper counts, 4 bytes a number
    up_payload_bytes: int = 0  # all clients; encoded
    down_scalar_bytes: int = 0  # all clients, hand-over included
    down_payload_bytes: int = 0  # all clients, hand-over included
    handover_bytes: int = 0  # the base model to each client that follows, once
    digest: str | None = None  # hex, of the final state

    def to_json(self) -> dict[str, Any]:
        """Return all fields as plain JSON data, the config as one flat object."""
        return {**asdict(self), "config": self.config.to_json()}

    @property
    def final(self) -> Evaluation:
        """The last evaluation."""
        return self.curve[-1]

    @property
    def holdout_accuracy(self) -> float | None:
        """Accuracy over all clients' hold-outs at the end, which are of one size."""
        last, high = self.final, len(self.high)
        if last.high_accuracy is None or last.low_accuracy is None:
            return last.high_accuracy if last.low_accuracy is None else last.low_accuracy
        total = high * last.high_accuracy + (self.config.clients - high) * last.low_accuracy
        return total / self.config.clients

    @property
    def verdict(self) -> Literal["finished", "did not converge", "diverged"]:
        """Report how the run ended: without hold-outs, one that did not diverge is finished.

        A run did not converge where its last accuracy over all hold-outs is no better than
        guessing; see :func:`zo_core.federation.simulation.evaluation.chance_level`.
        """
        if self.outcome == "diverged":
            return "diverged"
        reached = self.holdout_accuracy
        if self.chance_level is None or reached is None or reached > self.chance_level:
            return "finished"
        return "did not converge"

    @property
    def warnings(self) -> list[str]:
        """What the reader of the accuracy should know."""
        return [*self._noise_warnings(), *self._grid_warnings()]

    def _noise_warnings(self) -> list[str]:
        noise = self.scalar_noise or {}
        difference, scale = noise.get("repeat_difference"), noise.get("scale")
        if not difference or not scale or difference <= MAX_REPEAT_NOISE * scale:
            return []
        return [
            f"two forwards at the same weights differ by {difference:.2g}, {difference / scale:.0%}"
            " of a scalar dL: the model draws at random in evaluation mode (functional dropout "
            "without training=self.training?), and its scalars carry that noise"
        ]

    def _grid_warnings(self) -> list[str]:
        share = statistics.fmean(self.zero_shares) if self.zero_shares else 0.0
        if share <= MAX_ZERO_SHARE:
            return []
        return [
            f"{share:.0%} of the increments rounded to zero: the learning rate is below the "
            "grid's resolution (raise zo_server_lr, or set grid=False)"
        ]

    def add_round(self, done: RoundRecord, passes: Passes, elapsed_s: float) -> None:
        """Account for a round: its time, bytes and passes, and what it did to the weights."""
        seconds = self.seconds_by_method
        seconds[done.method] = seconds.get(done.method, 0.0) + elapsed_s
        self.up_scalar_bytes += done.up_scalar_bytes
        self.down_scalar_bytes += done.down_scalar_bytes
        self.up_payload_bytes += done.up_payload_bytes
        self.down_payload_bytes += done.down_payload_bytes
        self.rounds_done += 1
        if done.report.zero_share is not None:
            self.zero_shares.append(done.report.zero_share)
        self.widened += [f"{done.round_index}: {name}" for name in done.report.widened]
        self._add_passes(done.method, passes)

    def _add_passes(self, method: str, passes: Passes) -> None:
        so_far = self.passes_by_method.setdefault(method, Passes())
        so_far.forward_items += passes.forward_items
        so_far.backward_items += passes.backward_items

    @property
    def item_passes(self) -> int:
        """Items through the model so far, all clients; a backward counts as two forwards."""
        return sum(passes.items for passes in self.passes_by_method.values())

    @property
    def elapsed_s(self) -> float:
        """Seconds spent in rounds."""
        return sum(self.seconds_by_method.values())
