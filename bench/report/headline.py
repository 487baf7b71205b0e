"""The answer in three sentences, from the records: does it fit, at what cost, what does it buy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.format import duration, less_or_more, percent, points, size
from bench.records.paired import PairedDifference, compare_on_seeds
from bench.records.record_index import Results
from bench.records.step_memory import step_memory
from bench.report.groups.fit_statement import fit_sentence
from bench.report.groups.statements import STEP_BATCH, verdict

_TRAINING = ("zo", "fedavg")
Pairs = dict[tuple[str, int], tuple[float, float]]  # a figure of model and batch: ZO's, backprop's


def headline(results: Results) -> list[str]:
    """Say in three sentences what a person with this machine wants to know.

    Args:
        results: a run's records; a sentence that they do not bear out is left out.
    """
    said = (fit_sentence(results), cost_sentence(results), accuracy_sentence(results))
    return [sentence for sentence in said if sentence is not None]


def cost_sentence(results: Results) -> str | None:
    """Say what one step and one round cost by ZO, against backprop, where both were measured.

    Memory and time are of the same step where both were measured for one; else each of its own.
    """
    memory = step_memory(results)
    of_memory = _pairs(results, "memory", memory.above)
    of_time = _pairs(results, "time", "step")
    both = [step for step in of_memory if step in of_time]
    parts = [
        *_against(of_memory, both, size, f"{memory.name} above the loaded model"),
        *_against(of_time, both, duration, "time a step"),
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


def _pairs(results: Results, group: str, metric: str) -> Pairs:
    """Look a figure up for both methods, where both have it; the paper's batch comes first."""
    pairs = {}
    for model in results.models(group):
        for batch in sorted(results.batches(group, model), key=lambda b: (b != STEP_BATCH, -b)):
            cases = (f"{group}/{model}/{method}/b{batch}" for method in _TRAINING)
            zo, backprop = (results.value(case, metric) for case in cases)
            if zo and backprop:
                pairs[model, batch] = zo, backprop
    return pairs


def _against(
    pairs: Pairs, rather: Sequence[tuple[str, int]], write: Callable[[float], str], words: str
) -> list[str]:
    """Compare the two methods in one step, rather in one of those named; none where none is."""
    for model, batch in [*rather, *pairs][:1]:
        zo, backprop = pairs[model, batch]
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
