"""A problem with an obvious answer: clients pull theta towards their own data's mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from zo_core.algorithms import build_algorithm, taken_by, train_config
from zo_core.config import TrainConfig
from zo_core.federation import Replica, RoundRecord, run_round, sample_cohort
from zo_core.method import Algorithm, ClientData, Method, RoundContext
from zo_core.payloads.core import Payload, Snapshot

DIM = 12
SAMPLES = (3, 5, 2, 8, 4, 6)  # of each client: unequal


class Parabola(nn.Module):
    """Maps x to theta - x."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.full((DIM,), start))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.theta - x


class Third(nn.Module):
    """A third of theta, as a layer's weight."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, DIM // 3), start))


class Layered(nn.Module):
    """The same with theta in three layers, for methods that train some of them by backprop."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.thirds = nn.ModuleList(Third(start) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([third.weight for third in self.thirds], dim=1) - x


def problem(algorithm: str) -> nn.Module:
    """The parabola that an algorithm is run on."""
    return Layered() if algorithm in ("zowarmup-elastic", "warmup-partial") else Parabola()


def half_square(outputs: torch.Tensor, _y: torch.Tensor) -> torch.Tensor:
    """0.5 ||theta - x||^2 of each item."""
    return 0.5 * outputs.square().sum(dim=1)


def client(slot: int) -> ClientData:
    """Items around 0.5, each client with an offset of its own."""
    rng = np.random.default_rng(slot)
    x = rng.normal(0.5 + 0.02 * slot, 0.05, (SAMPLES[slot], DIM)).astype(np.float32)
    return ClientData(slot=slot, x=torch.from_numpy(x), y=torch.zeros(len(x)))


def config(algorithm: str, **changes: Any) -> TrainConfig:
    fields: dict[str, Any] = {
        "algorithm": algorithm,
        "clients": len(SAMPLES),
        "high_share": 0.5,
        "rounds": 30,
        "pivot": 2,
        "warmup_cohort": 2,
        "zo_cohort": 4,
        "client_lr": 0.05,
        "batch_size": 2,
        "local_epochs": 2,
        "zo_server_lr": 0.2,
        "adam_lr": 0.05,
        "zo_adam_lr": 0.05,
        "epsilon": 1e-3,
        "run_seed": 1,
    }
    if algorithm == "mezo-single":  # three directions of one client alone are too noisy
        fields["directions"] = DIM
    if algorithm == "warmup-partial":  # a part of theta alone ends where it began
        fields["trained"] = "last-3"
    return train_config(**{**taken_by(algorithm, fields), **law_settings(algorithm), **changes})


def law_settings(algorithm: str) -> dict[str, Any]:
    """What an algorithm needs on the parabola: LAWS of its own test file, if there is one."""
    name = f"test_{algorithm.replace('-', '_')}"
    if not Path(__file__).with_name(f"{name}.py").exists():
        return {}
    settings: dict[str, Any] = getattr(import_module(name), "LAWS", {})
    return settings


@dataclass
class Run:
    """A run by hand, round after round, as a server would make it."""

    algorithm: Algorithm
    run_seed: int
    replica: Replica
    snapshot: Snapshot | None = None  # of the hand-over
    updates: list[Payload] = field(default_factory=list)

    def context_of(self, round_index: int) -> RoundContext:
        phase = self.algorithm.phase_at(round_index)
        cohort = sample_cohort(self.run_seed, round_index, phase.pool, phase.cohort_size)
        return RoundContext(
            run_seed=self.run_seed,
            run_id=self.run_seed,
            round_index=round_index,
            cohort=cohort,
            samples=tuple(SAMPLES[slot] for slot in cohort),
        )

    def method_at(self, round_index: int) -> Method:
        method = self.algorithm.phase_at(round_index).method
        return replace(method, criterion=half_square)  # type: ignore[type-var, call-arg]

    def rounds(self) -> Iterator[RoundRecord]:
        for index in range(self.algorithm.rounds):
            method = self.method_at(index)
            if method.needs_grid and self.replica.grid is None:
                self.replica.snap_()
                self.snapshot = self.replica.snapshot(run_id=self.run_seed, round_index=index)
            yield run_round(
                method, self.replica, client, self.context_of(index), roster_size=len(SAMPLES)
            )

    def loss(self) -> float:
        """Mean over all items of all clients."""
        theta = self.replica.values().astype(np.float64)
        items = np.concatenate([client(slot).x.numpy() for slot in range(len(SAMPLES))])
        return float(0.5 * np.square(items - theta).sum(axis=1).mean())


def start(algorithm: str, high: tuple[int, ...] = (0, 2, 3), **changes: Any) -> Run:
    chosen = config(algorithm, **changes)
    return Run(build_algorithm(chosen, high), chosen.run_seed, Replica(problem(algorithm)))
