"""Section 4.2 at a small scale: one zeroth-order step a round against many on as much data.

Stages, each skipped where its result is on disk: pre-train by backprop; choose each variant's rate
on the clients' hold-outs, with a seed of its own; run every variant with every seed; write one
record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch

from bench.instruct.data import InstructData
from bench.instruct.run import LORA_RANK, InstructRun, RunConfig, RunRecord, loss_of
from bench.records.store import replacing
from zo_core.data import Split
from zo_core.loss.module_loss import cross_entropy
from zo_core.models.lm import LanguageModel, build_lm
from zo_core.models.lora import add_lora_
from zo_core.payloads.core import Payload, Snapshot
from zo_core.replica import Replica
from zo_core.stream import Purpose, random_words

Tell = Callable[[str], None]
_FACTOR = 4.0  # between learning rates
_MOST_RATES = 6
_ORDER = (("one-step", "fedkseed"), ("fedavg", "one-step-s3"), ("one-step-lora", "fedkseed-pro"))
_MODEL_SEED = 0
_TUNING_SEED = 1000  # of the runs that rates are chosen by; no other run has it


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyConfig:
    """What the study does; the defaults take about three quarters of an hour on one core."""

    shape: str = "tiny-llama"
    steps: int = 400  # of pre-training, by AdamW
    batch: int = 16
    lr: float = 2e-3  # of pre-training; falls linearly to zero
    seeds: int = 3
    rounds: int = 40  # the paper's
    tuning_rounds: int = 8
    first_rates: dict[str, float] = field(
        default_factory=lambda: {
            "one-step": 1e-2,
            "fedkseed": 1e-3,
            "fedavg": 0.3,
            "one-step-s3": 1e-2,
            "one-step-lora": 4e-2,
        }
    )


def study(config: StudyConfig, data: InstructData, folder: Path, tell: Tell) -> dict[str, object]:
    """Run all stages; what was done before is taken from the folder.

    Args:
        config: the study.
        data: sequences of both phases.
        folder: of results and checkpoints, made where it is missing.
        tell: shows progress.

    Returns:
        Plain data: the config, the pre-trained model's losses, the tuning runs, the runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = pretrained(config, data, folder, tell)

    def run(one: RunConfig) -> RunRecord:
        name = f"{one.variant}-{one.on}-lr{one.lr:g}-seed{one.run_seed}"
        model = build_lm(config.shape, run_seed=_MODEL_SEED, end_id=data.tokenizer.end_id)
        Replica(model).restore_(base)
        if one.variant == "one-step-lora":
            add_lora_(model, rank=LORA_RANK, run_seed=one.run_seed)
        return InstructRun(one, data, model, folder / "runs" / name).run(tell)

    def try_rate(variant: str, lr: float) -> RunRecord:
        return run(_tuning_config(config, variant, lr))

    tuning = {
        variant: _tune(partial(try_rate, variant), first)
        for variant, first in config.first_rates.items()
    }
    rates = {variant: _best(records) for variant, records in tuning.items()}
    rates["fedkseed-pro"] = rates["fedkseed"]  # the same steps, drawn otherwise
    runs = [
        run(RunConfig(variant=variant, lr=rates[variant], run_seed=seed, rounds=config.rounds))
        for variants in _ORDER
        for seed in range(config.seeds)
        for variant in variants
    ]
    return {
        "config": asdict(config),
        "data": asdict(data.config) | _sizes(data),
        "pretraining": json.loads((folder / "base.json").read_text()),
        "tuning": {variant: [asdict(r) for r in records] for variant, records in tuning.items()},
        "runs": [asdict(record) for record in runs],
    }


def pretrained(config: StudyConfig, data: InstructData, folder: Path, tell: Tell) -> Snapshot:
    """Train a model by backprop on every token of the training tasks, or read it from the folder.

    Raises:
        ValueError: the folder's model is of another study.
    """
    path, about = folder / "base.bin", folder / "base.json"
    wanted = {name: getattr(config, name) for name in ("shape", "steps", "batch", "lr")}
    if about.exists():
        saved = json.loads(about.read_text())
        if {name: saved[name] for name in wanted} != wanted:
            raise ValueError(f"{about} is of another pre-training; use another folder")
        return cast(Snapshot, Payload.decode(path.read_bytes()))
    model = build_lm(config.shape, run_seed=_MODEL_SEED, end_id=data.tokenizer.end_id)
    losses = _train(model, config, data.training, tell)
    held = data.held.split.select(data.rest)
    snapshot = Replica(model).snapshot(run_id=_MODEL_SEED, round_index=0)
    _write(path, snapshot.encode())
    result = wanted | {
        "parameters": sum(p.numel() for p in model.parameters()),
        "losses": losses,
        "held_loss": loss_of(model, held),
    }
    _write(about, json.dumps(result, indent=1).encode())
    return snapshot


def _train(model: LanguageModel, config: StudyConfig, split: Split, tell: Tell) -> list[float]:
    """Take AdamW steps; return the mean training loss of each hundred of them."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=0.01)
    model.train()
    losses: list[float] = []
    for step in range(config.steps):
        words = random_words(_MODEL_SEED, Purpose.SHUFFLE, config.batch, a=step).astype(np.uint64)
        items = ((words * np.uint64(len(split))) >> np.uint64(32)).astype(np.int64)
        batch = split.select(items)
        for group in optimizer.param_groups:
            group["lr"] = config.lr * min(1.0, (step + 1) / 50) * (1.0 - step / config.steps)
        loss = cross_entropy(model(batch.x), batch.y).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            tell(f"pre-training, step {step + 1}: loss {np.mean(losses[-100:]):.3f}")
    model.eval()
    return [float(np.mean(losses[i : i + 100])) for i in range(0, len(losses), 100)]


def _tuning_config(config: StudyConfig, variant: str, lr: float) -> RunConfig:
    return RunConfig(
        variant=variant,
        lr=lr,
        run_seed=_TUNING_SEED,
        rounds=config.tuning_rounds,
        eval_every=config.tuning_rounds,
        on="holdout",
    )


def _tune(run: Callable[[float], RunRecord], first: float) -> list[RunRecord]:
    """Try rates a factor apart until the best has a worse one on either side, or six are tried."""
    records = [run(first), run(first / _FACTOR)]
    while len(records) < _MOST_RATES:
        best, tried = _best(records), sorted(record.config.lr for record in records)
        if best == tried[0]:
            records.append(run(best / _FACTOR))
        elif best == tried[-1]:
            records.append(run(best * _FACTOR))
        else:
            break
    return records


def _best(records: list[RunRecord]) -> float:
    """Choose the rate of the lowest hold-out loss; a run that diverged has none."""
    losses = [
        record.curve[-1]["loss"] if record.outcome == "finished" else math.inf for record in records
    ]
    return records[int(np.argmin(losses))].config.lr


def _sizes(data: InstructData) -> dict[str, object]:
    return {
        "training_items": len(data.training),
        "held_items": len(data.held.split),
        "held_left_out": data.held.left_out,
        "held_tasks": list(data.held.names),
        "test_items": len(data.test),
        "items_a_client": int(data.partition(0).train.shape[1]),
        "vocabulary": data.tokenizer.size,
    }


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)
