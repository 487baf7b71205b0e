"""Details of the group llm: language models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDetails:
    """One step, where it was killed too."""

    region: Mapping[str, Any] | None  # devices.Measurement
    tensor_by_category: Mapping[str, int] | None  # bytes at the peak
    limits: Mapping[str, float]  # a metric must be at most this
    phase: str | None  # the last that the process reached
    limit_method: str | None
    limit_peak_bytes: float | None  # by the limit's counter


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedStep:
    """The tensors of one step at their peak, counted without memory."""

    way: str  # "forward", or a name in zo_core's BACKPROP
    batch: int
    bytes: int
    weights_bytes: int
    by_category: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitsDetails:
    """Which steps fit on which devices."""

    steps: tuple[PredictedStep, ...]
    fits: Mapping[str, tuple[str, ...]]  # by device: the steps
    memory_bytes: Mapping[str, int]  # by device


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructDetails:
    """The fine-tuning study: its settings, its data, and all its runs."""

    config: Mapping[str, Any]
    data: Mapping[str, Any]
    pretraining: Mapping[str, Any]
    tuning: Mapping[str, Any]  # by variant: the runs that chose its rate
    runs: tuple[Mapping[str, Any], ...]
    paper: Mapping[str, Any]  # what the paper prints


LlmDetails = StepDetails | FitsDetails | InstructDetails
