"""Section 4.2 at a small scale: one zeroth-order step a round against many on as much data.

Stages: train a model by backprop; choose each variant's rate on the clients' hold-outs, with a seed
of its own; run every variant with every seed.  Runs are cells of a sweep, so what is done is not
run again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.instruct.pretraining import Log, PretrainingConfig
from bench.instruct.rates import best_rate, next_rate
from bench.instruct.variants import VARIANTS, variant_config
from bench.sweeps.cell import Cell, CellResult, CellTraining
from bench.sweeps.engines import SweepRunner
from zo_core.config import TrainConfig
from zo_core.data import Dataset
from zo_core.federation.build import shard_samples

_TUNING_SEED = 1000  # of the runs that rates are chosen by; no other run has it
_SAME_RATE = {"fedkseed-pro": "fedkseed"}  # the same steps, drawn otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyConfig:
    """What the study does; the defaults take about an hour on one core."""

    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    clients: int = 30
    holdout_share: float = 0.1  # of each client's items
    seeds: int = 3
    rounds: int = 40  # the paper's
    tuning_rounds: int = 8
    first_rates: Mapping[str, float] = field(
        default_factory=lambda: {
            "one-step": 1e-2,
            "fedkseed": 1e-3,
            "fedavg": 0.3,
            "one-step-s3": 1e-2,
            "one-step-lora": 4e-2,
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a variant."""

    variant: str
    lr: float
    on: str  # what its curve is evaluated on: "test", or "holdout" where a rate is chosen
    config: TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A run and what came of it."""

    run: Run
    training: CellTraining

    @property
    def loss(self) -> float:
        """The last loss on the hold-outs; infinite where the run diverged."""
        loss = self.training.last.holdout_loss
        return math.inf if self.training.outcome != "finished" or loss is None else loss


class Study:
    """The study's runs on one model and one data set.

    Args:
        config: the study.
        dataset: the instructions.
        runner: runs cells and keeps their results; its tasks start from the trained model.
        log: shows progress.
    """

    def __init__(
        self, config: StudyConfig, dataset: Dataset, runner: SweepRunner, log: Log
    ) -> None:
        self.config = config
        self._dataset = dataset
        self._runner = runner
        self._log = log

    def tune(self) -> dict[str, list[Done]]:
        """Search each variant's rate, all variants side by side; return the runs tried."""
        tried: dict[str, list[Done]] = {variant: [] for variant in self.config.first_rates}
        while pending := self._next_runs(tried):
            for done in self._run(pending):
                tried[done.run.variant].append(done)
        return tried

    def compare(self, tuning: Mapping[str, list[Done]]) -> list[Done]:
        """Run every variant at its best rate with every seed."""
        rates = {variant: best_rate(_losses(tried)) for variant, tried in tuning.items()}
        rates |= {variant: rates[other] for variant, other in _SAME_RATE.items()}
        return self._run(
            self._made(variant, rates[variant], seed, self.config.rounds, "test")
            for seed in range(self.config.seeds)
            for variant in VARIANTS
        )

    def _next_runs(self, tried: Mapping[str, list[Done]]) -> list[Run]:
        rates = {
            variant: next_rate(_losses(tried[variant]), first)
            for variant, first in self.config.first_rates.items()
        }
        return [
            self._made(variant, rate, _TUNING_SEED, self.config.tuning_rounds, "holdout")
            for variant, rate in rates.items()
            if rate is not None
        ]

    def _made(self, variant: str, lr: float, seed: int, rounds: int, on: str) -> Run:
        study = self.config
        shared: dict[str, Any] = {
            "model": f"lm:{study.pretraining.shape}",
            "clients": study.clients,
            "holdout_share": study.holdout_share,
            "run_seed": seed,
        }
        # the shards' size follows from the clients and hold-outs, which all variants share
        any_config = variant_config("fedavg", lr=1.0, items=1, rounds=1, **shared)
        items = shard_samples(any_config, self._dataset)
        assert isinstance(items, int)  # of a Dirichlet draw
        config = variant_config(variant, lr=lr, items=items, rounds=rounds, **shared)
        return Run(variant=variant, lr=lr, on=on, config=config)

    def _run(self, runs: Iterable[Run]) -> list[Done]:
        """Run what is missing; return all results in order."""
        runs = list(runs)
        cells = [Cell(config=run.config) for run in runs]
        names = {cell.key: run for cell, run in zip(cells, runs, strict=True)}
        for result in self._runner.run([[cell] for cell in self._runner.store.missing(cells)]):
            self._log(_line(names[result.key], result))
        return [self._done(run, cell) for run, cell in zip(runs, cells, strict=True)]

    def _done(self, run: Run, cell: Cell) -> Done:
        found = self._runner.store.read(cell)
        if found is None or found.training is None:
            reason = "it was not run" if found is None else f"{found.status}: {found.error}"
            raise ChildProcessError(
                f"{run.variant}, seed {run.config.run_seed}: {reason}; run the same command again"
            )
        return Done(run=run, training=found.training)


def _losses(tried: Iterable[Done]) -> dict[float, float]:
    return {done.run.lr: done.loss for done in tried}


def _line(run: Run, result: CellResult) -> str:
    what = f"{run.variant}, seed {run.config.run_seed}, rate {run.lr:g}"
    if result.training is None:
        return f"{what}: {result.status}: {result.error}"
    last = result.training.last
    loss = last.test_loss if run.on == "test" else last.holdout_loss
    return f"{what}: {result.training.outcome}, {run.on} loss {loss}"
