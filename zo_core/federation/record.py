"""What a training run leaves behind, apart from the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from zo_core.config import TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Accuracy and cost after some rounds."""

    rounds_done: int
    test_accuracy: float  # share of the test split
    high_accuracy: float | None  # over the pooled hold-outs of high-resource clients
    low_accuracy: float | None  # over those of low-resource clients
    up_payload_bytes: int  # cumulative, all clients
    down_payload_bytes: int  # cumulative, all clients, hand-over included
    elapsed_s: float  # of training, without evaluations


@dataclass(slots=True, kw_only=True)
class TrainingRecord:
    """A run's outcome; filled in as it goes."""

    config: TrainConfig
    high: tuple[int, ...]  # slots of the high-resource clients
    outcome: Literal["finished", "diverged"] = "finished"
    reason: str | None = None  # why it diverged
    rounds_done: int = 0
    curve: list[Evaluation] = field(default_factory=list)
    seconds_by_method: dict[str, float] = field(default_factory=dict)
    zero_share: float | None = None  # mean share of zero increments over the ZO steps
    up_payload_bytes: int = 0  # all clients
    down_payload_bytes: int = 0  # all clients, hand-over included
    handover_bytes: int = 0  # the base model to every client, once
    digest: str | None = None  # hex, of the final state

    @property
    def final(self) -> Evaluation:
        """The last evaluation."""
        return self.curve[-1]

    @property
    def elapsed_s(self) -> float:
        """Seconds spent in rounds."""
        return sum(self.seconds_by_method.values())
