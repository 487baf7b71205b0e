"""The answer in three sentences, from the records: does it fit, at what cost, what does it buy."""

from __future__ import annotations

from collections.abc import Callable

from bench.paired import PairedDifference, compare_on_seeds
from bench.results import Results
from bench.statements import STEP_BATCH, verdict
from bench.text import duration, label, less_or_more, percent, points, size

BOARDS = {"a 512 MiB board": 512 << 20, "a 1 GiB board": 1 << 30, "a 4 GiB board": 4 << 30}
_TRAINING = ("zo", "fedavg")


def headline(results: Results) -> list[str]:
    """Say in three sentences what a person with this machine wants to know.

    Args:
        results: a run's records; a sentence that they do not bear out is left out.
    """
    said = (fit_sentence(results), cost_sentence(results), accuracy_sentence(results))
    return [sentence for sentence in said if sentence is not None]


def whole_peak(results: Results, model: str, method: str, batch: int) -> float | None:
    """Return the peak of the whole process in bytes: libraries, weights and step."""
    return results.value(f"memory/{model}/{method}/b{batch}", "peak")


def fit_sentence(results: Results) -> str | None:
    """Say on how small a board a training step fits, by method."""
    models = results.models("memory")
    if not models:
        return None
    model = models[0]
    parts = [
        f"{size(peak)} by {label(method)} with batch {batch}, {_smallest(peak)}"
        for method in _TRAINING
        if (found := _at_paper_batch(results, model, method)) is not None
        for batch, peak in [found]
    ]
    if not parts:
        return f"No training step of {label(model)} gave a peak in this run."
    memory = next(iter(results.group("memory"))).provenance.device.get("memory_bytes")
    here = f" on this machine ({size(memory)})" if memory else ""
    return (
        f"Does {label(model)} fit? The whole process of a training step{here} peaks at"
        f" {'; '.join(parts)}."
    )


def cost_sentence(results: Results) -> str | None:
    """Say what one step and one round cost by ZO, against backprop, where both were measured."""
    parts = [
        *_against(results, "memory", "peak_above_baseline", size, "memory above the loaded model"),
        *_against(results, "time", "step", duration, "time a step"),
        *_bytes(results),
    ]
    if not parts:
        return None
    return f"At what cost? ZO takes {'; '.join(parts)}."


def accuracy_sentence(results: Results) -> str | None:
    """Say what ZOWarmUp reaches, split by split."""
    parts = [part for split in results.splits() if (part := _split(results, split))]
    if not parts:
        return None
    return f"What does it buy? ZOWarmUp reaches {'; '.join(parts)}."


def _reading(found: PairedDifference) -> str:
    return "too few seeds for a verdict" if found.interval is None else verdict(found)


def _at_paper_batch(results: Results, model: str, method: str) -> tuple[int, float] | None:
    """Find a method's peak at the paper's batch, or at the largest one that gave a peak."""
    batches = sorted(results.batches("memory", model), key=lambda b: (b == STEP_BATCH, b))
    for batch in reversed(batches):
        if (peak := whole_peak(results, model, method, batch)) is not None:
            return batch, peak
    return None


def _smallest(peak_bytes: float) -> str:
    for board, memory in BOARDS.items():
        if peak_bytes < memory:
            return f"less than {board} has"
    return "more than a 4 GiB board has"


def _against(
    results: Results, group: str, metric: str, write: Callable[[float], str], words: str
) -> list[str]:
    for model in results.models(group):
        for batch in sorted(results.batches(group, model), key=lambda b: (b != STEP_BATCH, -b)):
            cases = (f"{group}/{model}/{method}/b{batch}" for method in _TRAINING)
            zo, backprop = (results.value(case, metric) for case in cases)
            if zo and backprop:
                ratio = less_or_more(zo, backprop)
                return [f"{ratio} {words} ({write(zo)} against {write(backprop)}, batch {batch})"]
    return []


def _bytes(results: Results) -> list[str]:
    for model in results.models("bytes"):
        zo, backprop = (
            [results.value(f"bytes/{model}/{method}", f"{way}_payload") for way in ("up", "down")]
            for method in _TRAINING
        )
        if all(zo) and all(backprop):
            ours, theirs = (" up and ".join(size(v or 0.0) for v in s) for s in (zo, backprop))
            return [f"{ours} down a round in place of {theirs} down"]
    return []


def _split(results: Results, split: str) -> str | None:
    cases = [f"accuracy/{name}/{split}" for name in ("zowarmup", "high-res-only")]
    first, second = (results.by_case.get(case) for case in cases)
    found = compare_on_seeds(first, second, "test_accuracy")
    ours, theirs = (results.value(case, "test_accuracy") for case in cases)
    if found is None or ours is None or theirs is None:
        return None
    data = results.by_case[cases[0]].config.get("dataset", "the data")
    return (
        f"{percent(ours)} on {data} with {split.replace('-', '/')} high- and low-resource clients,"
        f" {points(found.mean)} points against High-Res-Only (n = {found.n}; {_reading(found)})"
    )
