"""Details of the language-model study, of the group llm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.records.typed_json import columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining:
    """The training by backprop of the model that all runs of the study start from."""

    shape: str
    steps: int
    batch: int
    lr: float
    parameters: int
    losses: tuple[float, ...]  # mean of each hundred steps
    held_loss: float  # over the items that the clients fine-tune on


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRunConfig:
    """One run of the study."""

    variant: str
    lr: float
    run_seed: int
    rounds: int
    cohort: int  # clients per round
    eval_every: int  # rounds
    on: str  # what the curve is evaluated on: "test", or "holdout" where a rate is chosen


@columns
@dataclass(frozen=True, slots=True, kw_only=True)
class LossPoint:
    """The loss after some rounds."""

    rounds: int
    loss: float | None  # nats per answer token; None where it is not finite
    item_forwards: int  # cumulative, all clients; a backward counts as two


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRun:
    """A run of the study that has ended."""

    config: StudyRunConfig
    outcome: str  # "finished" or "diverged"
    reason: str | None  # why it diverged
    rounds_done: int
    curve: tuple[LossPoint, ...]
    item_forwards: int
    up_payload_bytes: int  # all clients
    down_payload_bytes: int  # all clients, without the hand-over
    elapsed_s: float  # of rounds
    rouge_l: float | None  # of the final model's answers to the test items
    rouge_by_task: Mapping[str, float]
    digest: str | None  # hex, of the final state
    zero_share: float | None = None  # mean share of increments that rounded to zero
    zero_shares: tuple[float, ...] = ()  # of each step; in records of case version 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructDetails:
    """The fine-tuning study: its settings, its data, and all its runs."""

    config: Mapping[str, Any]
    data: Mapping[str, Any]
    pretraining: Pretraining
    tuning: Mapping[str, tuple[StudyRun, ...]]  # by variant: the runs that chose its rate
    runs: tuple[StudyRun, ...]
    paper: Mapping[str, Any]  # what the paper prints
