"""The study of section 4.2 as a record of the suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import devices
from bench.records.record import Metric, Record, mean, provenance, unmeasured
from bench.records.store import write_record

# Legate, Rish, Belilovsky, arXiv 2509.03503, section 4.2 and figure 5: DataJuicer-1.3B, 40 rounds;
# the losses are read off the figure, to about 0.1
PAPER = {
    "one-step": {"rouge_l": 0.2015, "loss": {0: 8.43, 10: 2.96, 20: 2.00, 40: 1.81}},
    "fedkseed": {"rouge_l": 0.1723, "loss": {0: 8.43, 10: 4.40, 20: 2.23, 40: 1.95}},
}


def write_study(found: Mapping[str, Any], folder: Path) -> Path:
    """Write a study's record.

    Args:
        found: what :func:`bench.instruct.study.study` gave.
        folder: of results, with its folder of records.

    Returns:
        The file written.
    """
    record = Record(
        case="llm/instruct",
        group="llm",
        case_version=1,
        status="ok",
        config={"study": found["config"], "data": found["data"]},
        metrics=_metrics(found["runs"]),
        details={**found, "paper": PAPER},
        provenance=provenance("study", devices.detect().to_json()),
    )
    return write_record(folder, record)


def _metrics(runs: Sequence[Mapping[str, Any]]) -> dict[str, Metric]:
    metrics = {}
    for variant, records in _by_variant(runs).items():
        done = [record for record in records if record["outcome"] == "finished"]
        if not done:
            reason = f"all {len(records)} runs diverged"
            metrics[f"{variant}: loss"] = unmeasured("nat", reason)
            continue
        losses = [record["curve"][-1]["loss"] for record in done]
        how = "mean over the test items of an answer token's cross entropy, a run a seed"
        metrics[f"{variant}: loss"] = mean(losses, "nat", how)
        scores = [record["rouge_l"] for record in done]
        metrics[f"{variant}: Rouge-L"] = mean(scores, "share", "rouge-score, greedy answers")
        up = [record["up_payload_bytes"] for record in done]
        metrics[f"{variant}: up"] = mean(up, "byte", "encoded payloads, all clients, whole run")
        down = [record["down_payload_bytes"] for record in done]
        metrics[f"{variant}: down"] = mean(down, "byte", "encoded payloads, all clients, whole run")
    return metrics


def _by_variant(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    variants = dict.fromkeys(run["config"]["variant"] for run in runs)
    return {v: [run for run in runs if run["config"]["variant"] == v] for v in variants}
