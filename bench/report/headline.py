"""The answer: what fits, what it costs, what accuracy it reaches."""

from __future__ import annotations

from bench.format import percent, points
from bench.labels import label
from bench.paper import BATCH
from bench.records.budget import is_compared
from bench.records.case_name import CaseName
from bench.records.details.training import AccuracyDetails
from bench.records.paired import compare_on_seeds
from bench.records.record_index import Results
from bench.report.costs import (
    DOWN,
    ROUND,
    STEP,
    UP,
    Figure,
    Pair,
    memory_figures,
    pair_of,
    pairs,
)
from bench.report.groups.accuracy import sample_of
from bench.report.groups.fit import fit_sentence
from bench.report.opponents import PLAIN, Opponents, opponents_of
from bench.report.table import verdict


def headline(results: Results) -> list[str]:
    """Summarize a run: what fits, what it costs, what accuracy it reaches.

    Args:
        results: the run's records.

    Returns:
        The sentences for which there are records.
    """
    found = (
        fit_sentence(results),
        *cost_sentences(results),
        bytes_sentence(results),
        accuracy_sentence(results),
    )
    return [sentence for sentence in found if sentence is not None]


def cost_sentences(results: Results) -> list[str]:
    """Compare plain ZO with plain backprop, then the most memory-efficient step of each."""
    models = results.models("memory") or results.models("time")
    return [
        f"{opponents.name.capitalize()}, {_methods(opponents)}: {'; '.join(parts)}."
        for opponents in (opponents_of(results, models[0]) if models else ())
        if (parts := _parts(results, opponents))
    ]


def _methods(opponents: Opponents) -> str:
    if opponents is PLAIN:
        return "ZO compared with backprop"
    return f"“{label(opponents.zo)}” compared with “{label(opponents.backprop)}”"


def _parts(results: Results, opponents: Opponents) -> list[str]:
    """Compare memory and time; a part names its model and batch where the one before has others."""
    figures = (*memory_figures(results), ROUND, STEP)
    chosen = [pair for f in figures for pair in _pairs(results, f, opponents)[:1]]
    places = [(pair.model, pair.batch) for pair in chosen]
    return [
        _part(pair, is_named=place != before)
        for pair, place, before in zip(chosen, places, [None, *places], strict=False)
    ]


def _pairs(results: Results, figure: Figure, opponents: Opponents) -> list[Pair]:
    if opponents is PLAIN:
        return pairs(results, figure)
    found = (
        pair_of(results, figure, model, BATCH, opponents.methods)
        for model in results.models(figure.group)
    )
    return [pair for pair in found if pair is not None]


def _part(pair: Pair, *, is_named: bool) -> str:
    place = f"; {label(pair.model)}, batch {pair.batch}" if is_named else ""
    return f"{pair.comparison} {pair.figure.compared} ({pair.values}{place})"


def bytes_sentence(results: Results) -> str | None:
    """Compare what a client sends and receives in one round."""
    rounds = zip(pairs(results, UP), pairs(results, DOWN), strict=False)
    return next((_round(up, down) for up, down in rounds), None)


def _round(up: Pair, down: Pair) -> str:
    write = up.figure.write
    return (
        f"Per client per round of {label(up.model)}, ZO sends {write(up.zo)} and receives"
        f" {write(down.zo)}; backprop sends {write(up.backprop)} and receives"
        f" {write(down.backprop)}."
    )


def accuracy_sentence(results: Results) -> str | None:
    """Compare ZOWarmUp's accuracy with High-Res-Only's, by split, and name a better FedAvg."""
    splits = results.splits()
    parts = [part for split in splits if (part := _split(results, split))]
    better = [part for split in splits if (part := _better_fedavg(results, split))]
    return " ".join([f"Test accuracy of ZOWarmUp: {'; '.join(parts)}.", *better]) if parts else None


def _better_fedavg(results: Results, split: str) -> str | None:
    """Say so where FedAvg with all clients reached more in as many rounds."""
    cases = [CaseName.accuracy(name, split) for name in ("zowarmup", "fedavg")]
    ours, theirs = map(results.record, cases)
    accuracy, best = (results.value(case, "test_accuracy") for case in cases)
    if ours is None or theirs is None or accuracy is None or best is None or best <= accuracy:
        return None
    if not (is_compared(results, ours) and is_compared(results, theirs)):
        return None
    return (
        f"FedAvg with all clients, each with the memory for backprop, reaches more with"
        f" {split.replace('-', '/')}: {percent(best)} ({sample_of(theirs)})."
    )


def _split(results: Results, split: str) -> str | None:
    cases = [CaseName.accuracy(name, split) for name in ("zowarmup", "high-res-only")]
    first, second = map(results.record, cases)
    found = compare_on_seeds(first, second, "test_accuracy")
    accuracy = results.value(cases[0], "test_accuracy")
    if found is None or first is None or accuracy is None:
        return None
    details = first.details_as(AccuracyDetails)
    diverged = details.num_diverged if details else 0
    return (
        f"{percent(accuracy)} on {first.config.get('dataset', 'the data')} with"
        f" {split.replace('-', '/')} high/low-resource clients, {points(found.mean)} points"
        f" against High-Res-Only ({sample_of(first)}, {found.n} pairs: {verdict(found)}"
        f"{f', {diverged} diverged' if diverged else ''})"
    )
