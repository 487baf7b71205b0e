"""One federated fine-tuning run of a small language model, resumable, with its curve."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from bench.instruct.data import InstructData
from bench.records.store import replacing
from zo_core.algorithms.baselines.fedkseed import FedKSeed
from zo_core.algorithms.baselines.fedkseed_pro import FedKSeedPro
from zo_core.algorithms.methods.fedavg import FedAvg
from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
from zo_core.data import Split
from zo_core.federation.rounds import run_round, sample_cohort
from zo_core.grid import GridError
from zo_core.loss.module_loss import mean_loss
from zo_core.method import Method, RoundContext
from zo_core.models.answers import generate, rouge_l
from zo_core.models.lm import LanguageModel
from zo_core.payloads.core import Payload, Snapshot
from zo_core.plain_mode import NonFiniteWeightsError
from zo_core.replica import Replica
from zo_core.spsa import NonFiniteLossError

VARIANTS = ("one-step", "one-step-s3", "one-step-lora", "fedkseed", "fedkseed-pro", "fedavg")
LORA_RANK = 8  # of the variant whose adapters alone train
EPSILON = 5e-4  # FedKSeed's authors' for their language models
CANDIDATES = 1024
_CHECKPOINT_EVERY = 5  # rounds
_ANSWER_TOKENS = 48
_EVAL_BATCH = 16
_MICRO_BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """One run."""

    variant: str  # one of VARIANTS
    lr: float
    run_seed: int
    rounds: int = 40  # the paper's
    cohort: int = 2
    eval_every: int = 5  # rounds between points of the curve
    on: str = "test"  # or "holdout", which rates are chosen on


@dataclass(slots=True, kw_only=True)
class RunRecord:
    """What came of a run, filled in as it goes."""

    config: RunConfig
    outcome: str = "running"  # then "finished" or "diverged"
    reason: str | None = None
    rounds_done: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)  # rounds, loss, item forwards
    item_forwards: int = 0  # of all clients
    up_payload_bytes: int = 0  # all clients
    down_payload_bytes: int = 0  # all clients of the roster
    elapsed_s: float = 0.0  # of rounds
    zero_shares: list[float] = field(default_factory=list)
    rouge_l: float | None = None  # on the test set, of the final model
    rouge_by_task: dict[str, float] = field(default_factory=dict)
    digest: str | None = None


def method_of(config: RunConfig, samples: int) -> Method:
    """Build a run's method; every variant goes over each client's samples once a round.

    Args:
        config: the run.
        samples: items of a client's shard: FedKSeed's steps a round, of one item each.

    Raises:
        ValueError: the variant is unknown.
    """
    zo: dict[str, Any] = {
        "epsilon": EPSILON,
        "tau": 1.0,
        "lr": config.lr,
        "micro_batch": _MICRO_BATCH,
    }
    if config.variant in ("one-step", "one-step-s3", "one-step-lora"):
        return ZerothOrderStep(directions=3 if config.variant.endswith("s3") else 1, **zo)
    if config.variant in ("fedkseed", "fedkseed-pro"):
        kind = FedKSeed if config.variant == "fedkseed" else FedKSeedPro
        return kind(candidates=CANDIDATES, directions=1, local_steps=samples, **zo)
    if config.variant == "fedavg":
        return FedAvg(server_lr=1.0, client_lr=config.lr, local_epochs=1, batch_size=8)
    raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {config.variant!r}")


class InstructRun:
    """A run that begins at the pre-trained weights and can be cut off at any moment.

    Args:
        config: the run.
        data: both phases' sequences.
        model: holds the pre-trained weights; the run changes them.
        folder: where the run keeps its checkpoint and its record.
    """

    def __init__(
        self, config: RunConfig, data: InstructData, model: LanguageModel, folder: Path
    ) -> None:
        self.config, self.data, self.folder = config, data, folder
        self.partition = data.partition(config.run_seed)
        self.replica = Replica(model)
        self.method = method_of(config, self.partition.train.shape[1])
        self.record = RunRecord(config=config)
        self._test = data.held.split.select(data.test)
        if self.method.needs_grid:
            self.replica.snap_()

    def run(self, tell: Callable[[str], None]) -> RunRecord:
        """Go on from the checkpoint, if there is one, to the end."""
        self._resume()
        record, config = self.record, self.config
        if not record.curve:
            self._evaluate()
        while record.outcome == "running" and record.rounds_done < config.rounds:
            try:
                self._step(record.rounds_done)
            except (GridError, NonFiniteLossError, NonFiniteWeightsError) as error:
                record.outcome, record.reason = "diverged", f"round {record.rounds_done}: {error}"
                break
            done = record.rounds_done
            if done % config.eval_every == 0 or done == config.rounds:
                self._evaluate()
                tell(
                    f"{config.variant} seed {config.run_seed} lr {config.lr:g}: {record.curve[-1]}"
                )
            if done % _CHECKPOINT_EVERY == 0:
                self._save()
        if record.outcome == "running":
            self._finish()
        self._save()
        return record

    def _step(self, round_index: int) -> None:
        started = time.perf_counter()
        context = self._context(round_index)
        done = run_round(
            self.method,
            self.replica,
            lambda slot: self.data.client(self.partition, slot),
            context,
            roster_size=self.data.config.clients,
        )
        record = self.record
        record.elapsed_s += time.perf_counter() - started
        record.rounds_done += 1
        record.up_payload_bytes += done.up_payload_bytes
        record.down_payload_bytes += done.per_client.down_payload * done.receivers
        record.item_forwards += sum(context.samples) * forwards_of(self.config.variant)
        if done.report.zero_share is not None:
            record.zero_shares.append(done.report.zero_share)

    def _context(self, round_index: int) -> RoundContext:
        seed, everyone = self.config.run_seed, tuple(range(self.data.config.clients))
        cohort = sample_cohort(seed, round_index, everyone, self.config.cohort)
        return RoundContext(
            run_seed=seed,
            run_id=seed,
            round_index=round_index,
            cohort=cohort,
            samples=(self.partition.train.shape[1],) * len(cohort),
        )

    def _evaluate(self) -> None:
        split = self._test if self.config.on == "test" else self.data.holdout(self.partition)
        self.record.curve.append(
            {
                "rounds": self.record.rounds_done,
                "loss": loss_of(self.replica.module, split),
                "item_forwards": self.record.item_forwards,
            }
        )

    def _finish(self) -> None:
        record = self.record
        record.outcome, record.digest = "finished", self.replica.digest().hex()
        if self.config.on == "test":
            scores = rouge_of(self.replica.module, self.data)
            record.rouge_l = float(np.mean(np.concatenate(list(scores.values()))))
            record.rouge_by_task = {name: float(np.mean(s)) for name, s in scores.items()}

    def _save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.record.outcome == "running":
            done = self.record.rounds_done
            snapshot = self.replica.snapshot(run_id=self.config.run_seed, round_index=done)
            _write(self.folder / f"state-{done}.bin", snapshot.encode())
        _write(self.folder / "run.json", json.dumps(asdict(self.record), indent=1).encode())
        for old in self.folder.glob("state-*.bin"):
            if self.record.outcome != "running" or old.stem != f"state-{self.record.rounds_done}":
                old.unlink()

    def _resume(self) -> None:
        path = self.folder / "run.json"
        if not path.exists():
            return
        saved = json.loads(path.read_text())
        if saved["config"] != asdict(self.config):
            raise ValueError(f"{path} is of a run with another config; use another folder")
        self.record = RunRecord(**(saved | {"config": self.config}))
        if self.record.outcome == "running":
            state = self.folder / f"state-{self.record.rounds_done}.bin"
            self.replica.restore_(cast(Snapshot, Payload.decode(state.read_bytes())))


def forwards_of(variant: str) -> int:
    """Count the forwards an item of a round; a backward is worth two."""
    return {"one-step-s3": 6, "fedavg": 3}.get(variant, 2)


def loss_of(model: LanguageModel, split: Split) -> float:
    """Compute the mean over items of the loss of an answer's tokens, items in order of length."""
    lengths = (split.y != -100).long().argmax(dim=1) + (split.y != -100).sum(dim=1)
    ordered = split.select(torch.argsort(lengths, stable=True).numpy())
    return mean_loss(model, ordered.x, ordered.y, micro_batch=_EVAL_BATCH)


def rouge_of(model: LanguageModel, data: InstructData) -> dict[str, list[float]]:
    """Answer the test instances; give the Rouge-L of each, by task."""
    held, scores = data.held, dict[str, list[float]]()
    for number, name in enumerate(held.names):
        items = [int(i) for i in data.test if held.tasks[i] == number]
        prompts = [held.prompts[i] for i in items]
        answers = generate(model, data.tokenizer, prompts, most=_ANSWER_TOKENS)
        scores[name] = rouge_l(answers, [held.answers[i] for i in items])
    return scores


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)
