"""The model that all runs of the study start from: trained by backprop, once per folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench.records.details.instruct import Pretraining
from bench.records.store import replacing
from bench.records.typed_json import from_json, to_json
from zo_core.data import Dataset, Split
from zo_core.data.dataset import Texts
from zo_core.loss.module_loss import cross_entropy
from zo_core.loss.sequences import sequence_scores
from zo_core.models.lm import LanguageModel, build_lm
from zo_core.philox import Purpose, random_words
from zo_core.replica import Replica

Log = Callable[[str], None]
_MODEL_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingConfig:
    """How the model is trained before."""

    shape: str = "tiny-llama"
    steps: int = 400  # by AdamW
    batch: int = 16
    lr: float = 2e-3  # falls linearly to zero


def pretrained(
    config: PretrainingConfig, dataset: Dataset, texts: Texts, folder: Path, log: Log
) -> tuple[Path, Pretraining]:
    """Train a model on every token of the training tasks, or find it in the folder.

    Returns:
        The file of its weights, an encoded Snapshot, and its losses.

    Raises:
        ValueError: the folder's model comes from another pre-training.
    """
    path, about = folder / "base.bin", folder / "base.json"
    wanted = to_json(config)
    if about.exists():
        saved = from_json(Pretraining, json.loads(about.read_text()))
        if {name: getattr(saved, name) for name in wanted} != wanted:
            raise ValueError(f"{about} belongs to a different pre-training run; use another --out")
        return path, saved
    model = build_lm(config.shape, run_seed=_MODEL_SEED, end_id=texts.tokenizer.end_id)
    losses = _train(model, config, texts.pretraining, log)
    _, held_loss = sequence_scores(model, dataset.train.x, dataset.train.y)
    found = Pretraining(
        **wanted,
        parameters=sum(p.numel() for p in model.parameters()),
        losses=losses,
        held_loss=held_loss,
    )
    snapshot = Replica(model).snapshot(run_id=_MODEL_SEED, round_index=0)
    _write(path, snapshot.encode())
    _write(about, json.dumps(to_json(found), indent=1).encode())
    return path, found


def _train(
    model: LanguageModel, config: PretrainingConfig, split: Split, log: Log
) -> tuple[float, ...]:
    """Take AdamW steps; return the mean training loss of each hundred of them."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=0.01)
    model.train()
    losses: list[float] = []
    for step in range(config.steps):
        batch = split.select(_batch_items(step, config.batch, len(split)))
        for group in optimizer.param_groups:
            group["lr"] = config.lr * min(1.0, (step + 1) / 50) * (1.0 - step / config.steps)
        loss = cross_entropy(model(batch.x), batch.y).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            log(f"pre-training, step {step + 1}: loss {np.mean(losses[-100:]):.3f}")
    model.eval()
    return tuple(float(np.mean(losses[i : i + 100])) for i in range(0, len(losses), 100))


def _batch_items(step: int, batch: int, items: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    words = random_words(_MODEL_SEED, Purpose.SHUFFLE, batch, a=step).astype(np.uint64)
    return ((words * np.uint64(items)) >> np.uint64(32)).astype(np.int64)


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)
