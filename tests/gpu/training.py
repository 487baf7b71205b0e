"""Train by the paper's recipe for as long as there is time; the same folder continues.

    python tests/gpu/training.py OUT --device cuda --data-dir DATA --seconds 300 --precision tf32

CIFAR-10, ResNet18 with group norm, 50 clients, 10/90, 200 warm-up rounds of 500.  Prints one JSON
object: rounds done, seconds per round by method, the projected time of all rounds, curve, digest.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

from zo_core.algorithms import train_config
from zo_core.data import Dataset, load_dataset, synthetic_blobs
from zo_core.federation.record import TrainingRecord
from zo_core.federation.simulation.run_checkpoint import resume_, save
from zo_core.federation.simulation.training import Training

RECIPE: dict[str, Any] = {
    **{"dataset": "cifar10", "model": "resnet18", "clients": 50, "high_share": 0.1},
    **{"rounds": 500, "pivot": 200, "eval_every": 25, "forward": "auto"},
}
# every code path in seconds: 8 clients of 10 images
TINY: dict[str, Any] = {
    **{"dataset": "synthetic", "model": "cnn", "clients": 8, "high_share": 0.25},
    **{"rounds": 6, "pivot": 3, "eval_every": 3, "warmup_cohort": 2, "forward": "auto"},
}


def data(arguments: argparse.Namespace) -> Dataset:
    if arguments.tiny:
        return synthetic_blobs(train_items=80, test_items=20, channels=3, image_size=32)
    return load_dataset("cifar10", data_dir=arguments.data_dir)


def found(training: Training, record: TrainingRecord) -> dict[str, Any]:
    """Describe the run so far, and how long all its rounds would take."""
    done: dict[str, int] = {}
    for round_index in range(record.rounds_done):
        name = training.schedule.method_at(round_index).name
        done[name] = done.get(name, 0) + 1
    per_round = {name: s / done[name] for name, s in record.seconds_by_method.items()}
    phases = training.schedule.algorithm.phases
    known = all(phase.method.name in per_round for phase in phases)
    projected_s = sum(p.rounds * per_round[p.method.name] for p in phases) if known else None
    data = record.to_json()
    kept = ("config", "forward", "forward_trial_s", "forward_trial_cost_s", "compilations")
    return {
        **{name: data[name] for name in (*kept, "scalar_noise", "outcome", "reason", "curve")},
        "rounds_done": record.rounds_done,
        "seconds_per_round": per_round,
        "projected_minutes": None if projected_s is None else projected_s / 60,
        "digest": training.replica.digest().hex(),
    }


def main() -> None:
    """Train, save, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--precision", default="tf32")
    parser.add_argument("--algorithm", default="zowarmup")
    parser.add_argument("--client-lr", type=float, default=0.1)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    started = time.monotonic()
    recipe = TINY if arguments.tiny else RECIPE
    config = train_config(
        arguments.algorithm,
        **recipe,
        precision=arguments.precision,
        client_lr=arguments.client_lr,
    )
    training = Training(config, data(arguments), device=arguments.device)
    folder = arguments.out / f"{arguments.algorithm}-checkpoint"
    resume_(training, folder)
    record = training.run(
        save=partial(save, training, folder),
        stop=lambda: time.monotonic() - started > arguments.seconds,
    )
    print(json.dumps(found(training, record), indent=1))


if __name__ == "__main__":
    main()
