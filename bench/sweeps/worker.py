"""The fresh process's side of a cell: train, and say what it took."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench.records.typed_json import from_json
from bench.sweeps.cell import UNFINISHED, CellTraining

if TYPE_CHECKING:
    from zo_core.data import Dataset
    from zo_core.federation.simulation.training import Training
    from zo_core.payloads.core import Snapshot


def run_cells(
    configs: Sequence[Mapping[str, Any]],
    *,
    data_dir: str | None = None,
    base: str | None = None,
    verify: bool = True,
    device: str = "cpu",
    checkpoints: str | None = None,
    deadline: float | None = None,
    keys: Sequence[str] = (),
) -> list[CellTraining]:
    """Train one config after the other, all of one data set.

    Args:
        configs: what zo_core.algorithms.train_config takes.
        data_dir: folder of a data set that is files.
        base: file of the weights that a language model starts from, an encoded Snapshot.
        verify: compare its checksums.
        device: a torch device.
        checkpoints: folder in which long runs are saved, each under its key, and resumed.
        deadline: seconds since the epoch, after which no further config is started; a run with a
            checkpoint is saved and left unfinished.
        keys: names of the configs, for the checkpoints.

    Returns:
        What came of each config, as far as there was time: the first one is always started.
    """
    from zo_core.algorithms import train_config
    from zo_core.data import load_dataset
    from zo_core.federation.simulation.training import Training

    chosen = [train_config(**config) for config in configs]
    folder = None if data_dir is None else Path(data_dir)
    dataset = load_dataset(chosen[0].dataset, data_dir=folder, verify=verify)
    found: list[CellTraining] = []
    for index, config in enumerate(chosen):
        if found and _is_past(deadline):
            break
        training = Training(config, dataset, device=device, base=_snapshot(base))
        saved = None if checkpoints is None else Path(checkpoints) / keys[index]
        _train(training, saved, stop=partial(_is_past, deadline))
        found.append(summary(training, dataset))
    return found


def summary(training: Training, dataset: Dataset) -> CellTraining:
    """Return a run's record, small, with the hand-over's hash and a client's peaks."""
    from zo_core.models.answer_scoring import score_answers

    data = training.record.to_json()
    if training.record.outcome == "finished" and not training.is_done:
        data |= {"outcome": UNFINISHED, "digest": training.replica.digest().hex()}
        data["projected_s"] = _projected_s(training)
    shares = data.pop("zero_shares")
    data.pop("config")
    data["zero_share"] = sum(shares) / len(shares) if shares else None
    data["handover_blake2b"] = _handover_hash(training)
    finished = data["outcome"] == "finished"  # what diverged may have no update to measure
    data["client_peak_bytes"] = client_peaks(training) if finished else None
    data["parameters"] = training.replica.params.num_elements
    if finished and dataset.texts is not None:
        data["rouge_by_task"] = score_answers(training.replica.module, dataset.texts)
    return from_json(CellTraining, data)


def _projected_s(training: Training) -> float | None:
    """Project the time of all rounds; None while a phase has not begun."""
    spent = training.record.seconds_by_method
    names = [training.schedule.method_at(r).name for r in range(training.schedule.rounds)]
    done = Counter(names[: training.record.rounds_done])
    if not set(names) <= spent.keys():
        return None
    return sum(spent[name] / done[name] * count for name, count in Counter(names).items())


def _snapshot(path: str | None) -> Snapshot | None:
    from zo_core.payloads.core import Payload

    return None if path is None else cast("Snapshot", Payload.decode(Path(path).read_bytes()))


def client_peaks(training: Training) -> dict[str, int | None]:
    """Measure the largest sum of live tensors in one client's update, above weights and data.

    Returns:
        Bytes by group: the most that any phase asks of a high- and of a low-resource client; None
        for a group that no phase asks anything of.
    """
    from devices.tensor_memory import track_tensors

    peaks: dict[str, int | None] = {"high": None, "low": None}
    first_round = 0
    for phase in training.schedule.algorithm.phases:
        if not phase.rounds:
            continue
        context = training.context_of(first_round)
        for group, peak in peaks.items():
            slots = [s for s in phase.pool if (s in training.high) == (group == "high")]
            if not slots:
                continue
            client = training.client_data(slots[0])
            parameters = training.replica.module.parameters()
            with track_tensors(parameters=parameters, existing=[client.x, client.y]) as tracker:
                phase.method.client_update(training.replica, client, context)
            peaks[group] = max(peak or 0, tracker.result().peak_above_baseline_bytes)
        first_round += phase.rounds
    return peaks


def _train(training: Training, checkpoints: Path | None, stop: Callable[[], bool]) -> None:
    if checkpoints is None:
        training.run()
        return
    from zo_core.federation.simulation.run_checkpoint import resume_, save

    resume_(training, checkpoints)
    training.run(save=partial(save, training, checkpoints), stop=stop)


def _is_past(deadline: float | None) -> bool:
    return deadline is not None and time.time() > deadline


def _handover_hash(training: Training) -> str | None:
    """Hash the warm-up's model, by which runs that share it can be told."""
    if training.log is None:
        return None
    return hashlib.blake2b(training.log.snapshot.encode(), digest_size=16).hexdigest()
