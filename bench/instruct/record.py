"""The study of section 4.2 as a record of the suite."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import devices
from bench.instruct.study import Done
from bench.instruct.variants import COHORT, EVAL_EVERY
from bench.records.details.instruct import (
    InstructDetails,
    LossPoint,
    StudyRun,
    StudyRunConfig,
)
from bench.records.record import Metric, Record, provenance
from bench.records.store import write_record
from bench.records.typed_json import to_json
from zo_core.data import Dataset
from zo_core.data.dataset import Texts

# Legate, Rish, Belilovsky, arXiv 2509.03503, section 4.2 and figure 5: DataJuicer-1.3B, 40 rounds;
# the losses are read off the figure, to about 0.1
PAPER = {
    "one-step": {"rouge_l": 0.2015, "loss": {"0": 8.43, "10": 2.96, "20": 2.00, "40": 1.81}},
    "fedkseed": {"rouge_l": 0.1723, "loss": {"0": 8.43, "10": 4.40, "20": 2.23, "40": 1.95}},
}

_LOSS = "mean over the test items of an answer token's cross entropy, a run a seed"
_PAYLOADS = "encoded payloads, all clients, whole run"
# name -> unit, method, of one run
_FIGURES: dict[str, tuple[str, str, Callable[[StudyRun], float | None]]] = {
    "loss": ("nat", _LOSS, lambda run: run.curve[-1].loss),
    "Rouge-L": ("share", "rouge-score, greedy answers", lambda run: run.rouge_l),
    "up": ("byte", _PAYLOADS, lambda run: run.up_payload_bytes),
    "down": ("byte", _PAYLOADS, lambda run: run.down_payload_bytes),
}


def write_study(details: InstructDetails, folder: Path) -> Path:
    """Write a study's record.

    Args:
        details: the study.
        folder: of results, with its folder of records.

    Returns:
        The file written.
    """
    record = Record(
        case="llm/instruct",
        group="llm",
        case_version=2,
        status="ok",
        config={"study": details.config, "data": details.data},
        metrics=_metrics(details.runs),
        details=to_json(details),
        provenance=provenance("study", devices.detect().to_json()),
    )
    return write_record(folder, record)


def sizes_of(dataset: Dataset, texts: Texts) -> dict[str, Any]:
    """Count the items of a data set."""
    return {
        "training_items": len(texts.pretraining),
        "held_items": len(dataset.train) + len(dataset.test),
        "held_left_out": texts.left_out,
        "held_tasks": list(texts.task_names),
        "test_items": len(dataset.test),
        "vocabulary": texts.tokenizer.size,
    }


def study_run(done: Done) -> StudyRun:
    """Describe a run for the record."""
    run, training = done.run, done.training
    scores = training.rouge_by_task or {}
    return StudyRun(
        config=StudyRunConfig(
            variant=run.variant,
            lr=run.lr,
            run_seed=run.config.run_seed,
            rounds=run.config.rounds,
            cohort=COHORT,
            eval_every=EVAL_EVERY,
            on=run.on,
        ),
        outcome=training.outcome,
        reason=training.reason,
        rounds_done=training.rounds_done,
        curve=tuple(
            LossPoint(
                rounds=point.rounds_done,
                loss=point.test_loss if run.on == "test" else point.holdout_loss,
                item_forwards=point.item_passes or 0,
            )
            for point in training.curve
        ),
        item_forwards=training.item_passes,
        up_payload_bytes=training.up_payload_bytes,
        down_payload_bytes=training.down_payload_bytes - training.handover_bytes,
        elapsed_s=sum(training.seconds_by_method.values()),
        rouge_l=statistics.fmean(chain(*scores.values())) if scores else None,
        rouge_by_task={task: statistics.fmean(part) for task, part in scores.items()},
        digest=training.digest,
        zero_share=training.zero_share,
    )


def _metrics(runs: Sequence[StudyRun]) -> dict[str, Metric]:
    metrics = {}
    for variant, ended in _by_variant(runs).items():
        done = [run for run in ended if run.outcome == "finished"]
        for name, (unit, method, figure) in _FIGURES.items():
            values = [value for run in done if (value := figure(run)) is not None]
            if values:
                metrics[f"{variant}: {name}"] = Metric.mean(values, unit, method)
        if not done:
            metrics[f"{variant}: loss"] = Metric.unmeasured(
                "nat", f"all {len(ended)} runs diverged"
            )
    return metrics


def _by_variant(runs: Sequence[StudyRun]) -> dict[str, list[StudyRun]]:
    variants = dict.fromkeys(run.config.variant for run in runs)
    return {v: [run for run in runs if run.config.variant == v] for v in variants}
