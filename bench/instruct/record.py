"""The study of section 4.2 as a record of the suite and a plot of its loss curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import devices
from bench.records.record import Metric, Record, mean, provenance, unmeasured
from bench.records.store import replacing, write_record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Legate, Rish, Belilovsky, arXiv 2509.03503, section 4.2 and figure 5: DataJuicer-1.3B, 40 rounds;
# the losses are read off the figure, to about 0.1
PAPER = {
    "one-step": {"rouge_l": 0.2015, "loss": {0: 8.43, 10: 2.96, 20: 2.00, 40: 1.81}},
    "fedkseed": {"rouge_l": 0.1723, "loss": {0: 8.43, 10: 4.40, 20: 2.23, 40: 1.95}},
}
_LABELS = {
    "one-step": "one step a round, S = 1",
    "one-step-s3": "one step a round, S = 3",
    "one-step-lora": "one step a round, LoRA of rank 8",
    "fedkseed": "FedKSeed, a step an item",
    "fedkseed-pro": "FedKSeed-Pro",
    "fedavg": "FedAvg (backprop)",
}
_AXES = {"rounds": "rounds", "item_forwards": "item forwards of all clients"}


def write_study(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a study's record and plot.

    Args:
        found: what :func:`bench.instruct.study.study` gave.
        folder: of results, with its folder of records.

    Returns:
        The files written.
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
    return [write_record(folder, record), _plot(found["runs"], folder / "instruct-loss.png")]


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


def _plot(runs: Sequence[Mapping[str, Any]], path: Path) -> Path:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.0, 4.2), sharey=True, layout="constrained")
    for axes, (field, label) in zip(panels, _AXES.items(), strict=True):
        for variant, records in _by_variant(runs).items():
            _draw(axes, variant, records, field)
        axes.set_xlabel(label)
        axes.grid(color="#dddddd", linewidth=0.6)
    panels[0].set_ylabel("test loss, nats a token of the answer")
    panels[1].xaxis.set_major_formatter("{x:,.0f}")
    panels[1].locator_params(axis="x", nbins=6)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    plt.close(figure)
    return path


def _draw(axes: Axes, variant: str, records: Sequence[Mapping[str, Any]], field: str) -> None:
    """Draw the mean over seeds of a variant's curve, and the range as a band."""
    curves = [record["curve"] for record in records if record["outcome"] == "finished"]
    if not curves:
        return
    points = list(zip(*curves, strict=True))
    x = [point[0][field] for point in points]
    losses = [[one["loss"] for one in point] for point in points]
    means = [sum(values) / len(values) for values in losses]
    style = list(_LABELS).index(variant)
    (line,) = axes.plot(
        *(x, means),
        label=_LABELS[variant],
        marker="o^DsvP"[style],
        markersize=3.5,
        linestyle=("-", "--", ":")[style % 3],
    )
    lower, upper = [min(v) for v in losses], [max(v) for v in losses]
    axes.fill_between(x, lower, upper, color=line.get_color(), alpha=0.15, linewidth=0)
