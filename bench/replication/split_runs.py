"""Runs a cell of the study of split directions: a shared warm-up, forwards side by side."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from bench.replication.stacked_losses import stacked
from bench.sweeps.cell import Cell, CellResult
from bench.sweeps.task import result_of
from bench.sweeps.worker import summary
from zo_core.algorithms.methods.zowarmup_split import SplitStep
from zo_core.config import TrainConfig
from zo_core.data import Dataset, load_dataset
from zo_core.federation.record import TrainingRecord
from zo_core.federation.simulation.training import Training
from zo_core.method import Algorithm

# by glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD; the latter takes no more
_KEPT_BYTES = {-1: 1 << 30, -3: 1 << 25}
# values of an item up to which forwards side by side pay: 64 gain, 784 take 1.7 times as long
_SMALL_ITEM = 256
# what a warm-up does not depend on
_AFTER = {"splits", "zo_server_lr", "scalars", "zo_schedule", "second_moment", "clip_quantile"}
_AFTER |= {"zo_step_length", "tail", "balanced"}


@dataclass(frozen=True, slots=True)
class _WarmUp:
    record: TrainingRecord
    values: npt.NDArray[np.float32]


@dataclass(slots=True, kw_only=True)
class Runner:
    """Trains cells one after the other; those that differ only after the pivot share a warm-up."""

    data_dir: Path | None = None
    verify: bool = True  # of a data set's files by md5
    _datasets: dict[str, Dataset] = field(default_factory=dict)
    _warm_ups: dict[str, _WarmUp] = field(default_factory=dict)

    def run(self, cell: Cell) -> CellResult:
        """Train a cell of zowarmup-split in this process with one thread."""
        torch.set_num_threads(1)
        _keep_blocks()
        started = time.perf_counter()
        dataset = self._dataset(cell.config.dataset)
        training = Training(cell.config, dataset)
        self._warm_up(training)
        algorithm = training.schedule.algorithm
        if dataset.train.x[0].numel() <= _SMALL_ITEM:
            training.schedule.algorithm = _side_by_side(algorithm)
        training.run()
        training.schedule.algorithm = algorithm  # a client's peak is that of the method itself
        return result_of(
            cell,
            "cpu",
            status="ok",
            training=summary(training, dataset),
            seconds=time.perf_counter() - started,
        )

    def _dataset(self, name: str) -> Dataset:
        if name not in self._datasets:
            self._datasets[name] = load_dataset(name, data_dir=self.data_dir, verify=self.verify)
        return self._datasets[name]

    def _warm_up(self, training: Training) -> None:
        """Train to the pivot, or take over what an earlier run of the same warm-up did."""
        key, config = _key(training.config), training.config
        if key not in self._warm_ups:
            for round_index in range(config.pivot):
                training.step(round_index)
                if training.record.rounds_done % config.eval_every == 0:
                    training.record.curve.append(training.evaluate())
            record = copy.deepcopy(training.record)
            self._warm_ups[key] = _WarmUp(record, training.replica.values())
            return
        done = self._warm_ups[key]
        training.record = replace(copy.deepcopy(done.record), config=config)
        training.replica.load_(done.values)


def _keep_blocks() -> None:
    """Let glibc reuse large blocks: fresh pages take as long as their use."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        for parameter, size in _KEPT_BYTES.items():
            ctypes.CDLL(None).mallopt(parameter, size)


def _key(config: TrainConfig) -> str:
    fields: dict[str, Any] = config.to_json()
    return json.dumps({name: fields[name] for name in sorted(fields.keys() - _AFTER)})


def _side_by_side(algorithm: Algorithm) -> Algorithm:
    first, second = algorithm.phases
    method = stacked(cast(SplitStep, second.method))
    return replace(algorithm, phases=(first, replace(second, method=method)))
