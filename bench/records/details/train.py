"""Details of the group train: one run of ``zobench train``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.records.details.accuracy import CurvePoint, PassCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainDetails:
    """A finished run: zo_core's TrainingRecord, its verdict and its memory."""

    config: Mapping[str, Any]  # zo_core.config.TrainConfig
    high: tuple[int, ...]  # slots of the high-resource clients
    outcome: str  # "finished" or "diverged"
    reason: str | None  # why it diverged
    forward: str  # the forward mode in use
    forward_trial_s: Mapping[str, float]
    guessing: float | None  # accuracy over all hold-outs that guessing stays below
    rounds_done: int
    curve: tuple[CurvePoint, ...]
    seconds_by_method: Mapping[str, float]
    passes_by_method: Mapping[str, PassCounts]
    zero_shares: tuple[float, ...]  # of each step on the grid
    widened: tuple[str, ...]  # "round: tensor"
    up_scalar_bytes: int
    up_payload_bytes: int
    down_scalar_bytes: int
    down_payload_bytes: int
    handover_bytes: int
    digest: str | None  # hex, of the final state
    verdict: str  # "finished", "did not converge" or "diverged"
    memory: Mapping[str, Any]  # devices.Measurement
    threads: int | None = None  # of torch on the CPU; None: as the library has it
    threads_trial_s: Mapping[str, float] = field(default_factory=dict)  # a forward, by threads
    label: str | None = None  # the algorithm's name in reports; None: its registered name
