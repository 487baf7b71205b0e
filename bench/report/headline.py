"""The answer in three sentences: what fits, what it costs, what accuracy it reaches."""

from __future__ import annotations

from bench.format import percent, points
from bench.labels import label
from bench.records.case_name import CaseName
from bench.records.paired import compare_on_seeds
from bench.records.record_index import Results
from bench.report.costs import DOWN, TIME, UP, Pair, memory_figure, pairs
from bench.report.groups.fit import fit_sentence
from bench.report.table import verdict


def headline(results: Results) -> list[str]:
    """Summarize a run in three sentences.

    Args:
        results: the run's records.

    Returns:
        The sentences for which there are records.
    """
    found = (fit_sentence(results), cost_sentence(results), accuracy_sentence(results))
    return [sentence for sentence in found if sentence is not None]


def cost_sentence(results: Results) -> str | None:
    """Compare one step and one round of ZO with backprop's.

    Memory and time are of the same step where one step has both.
    """
    memory, time = pairs(results, memory_figure(results)), pairs(results, TIME)
    measured = {(pair.model, pair.batch) for pair in time}
    shared = [(p.model, p.batch) for p in memory if (p.model, p.batch) in measured]
    parts = [_step(pair) for figure in (memory, time) if (pair := _first(figure, shared))]
    rounds = zip(pairs(results, UP), pairs(results, DOWN), strict=False)
    parts += [_round(up, down) for up, down in rounds][:1]
    return f"ZO compared with backprop: {'; '.join(parts)}." if parts else None


def _first(found: list[Pair], shared: list[tuple[str, int | None]]) -> Pair | None:
    preferred = [pair for pair in found if (pair.model, pair.batch) in shared[:1]]
    return next(iter([*preferred, *found]), None)


def _step(pair: Pair) -> str:
    return (
        f"{pair.comparison} {pair.figure.compared} ({pair.values}; {label(pair.model)}, batch"
        f" {pair.batch})"
    )


def _round(up: Pair, down: Pair) -> str:
    return f"{up.values} sent and {down.values} received per client per round of {label(up.model)}"


def accuracy_sentence(results: Results) -> str | None:
    """Compare ZOWarmUp's accuracy with High-Res-Only's, split by split."""
    parts = [part for split in results.splits() if (part := _split(results, split))]
    return f"Test accuracy of ZOWarmUp: {'; '.join(parts)}." if parts else None


def _split(results: Results, split: str) -> str | None:
    cases = [CaseName.accuracy(name, split) for name in ("zowarmup", "high-res-only")]
    first, second = map(results.record, cases)
    found = compare_on_seeds(first, second, "test_accuracy")
    accuracy = results.value(cases[0], "test_accuracy")
    if found is None or first is None or accuracy is None:
        return None
    diverged = list(first.details.get("outcomes", ())).count("diverged")
    return (
        f"{percent(accuracy)} on {first.config.get('dataset', 'the data')} with"
        f" {split.replace('-', '/')} high/low-resource clients, {points(found.mean)} points"
        f" against High-Res-Only (n = {found.n}, {verdict(found)}"
        f"{f', {diverged} diverged' if diverged else ''})"
    )
