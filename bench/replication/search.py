"""The learning-rate search: the paper's grids, hold-outs alone, one budget for every method.

A stage searches one group of rates by successive halving.  A method with a warm-up and a
zeroth-order phase has two stages: the warm-up's rates are those of its first phase alone, which is
High-Res-Only, and then its ZO rate.  A method with one group of rates spends the same number of
rounds on it, over twice the seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from bench.records.details.tables import Stage, StageTrace
from bench.replication.spec import TableScale
from bench.sweeps.cell import Cell, CellStore, CellTraining
from bench.sweeps.engines import SweepRunner
from bench.sweeps.halving import Candidate, Rung, best_of, halve, sample_grid
from zo_core.algorithms import taken_by, train_config
from zo_core.data.resources import parse_split

FIRST_SEED: Final = 1000  # tables use seeds from 0 on, below this one
SPLITS: Final = ("10/90", "50/50")  # of a search's seeds in turn; one rate serves all splits
_SAMPLE_SEED: Final = 0x5EA2C4

_WARM_UP: Final = {  # appendix A.5 and page 17, FedAvg
    "server_lr": (1.0, 0.5, 0.1),
    "client_lr": (5e-1, 1e-1, 5e-2, 1e-2, 5e-3, 1e-3, 5e-4, 1e-4),
}
_ZO_SERVER: Final = (0.5, 0.1, 0.05, 0.01)
_ZO_CLIENT: Final = (1e-1, 5e-2, 1e-2, 5e-3, 1e-3, 5e-4, 1e-4, 5e-5, 1e-5, 5e-6, 1e-6)
# A plain step knows the product of its two rates alone: each product is tried once.
_ZO: Final = {
    "zo_server_lr": tuple(
        sorted({float(f"{s * c:.3g}") for s in _ZO_SERVER for c in _ZO_CLIENT}, reverse=True)
    )
}
_ADAM: Final = (5e-3, 1e-3, 5e-4, 1e-4, 5e-5, 1e-5, 5e-6, 1e-6)
_FEDADAM: Final = {"adam_lr": _ADAM, "client_lr": (1e-1, *_WARM_UP["client_lr"][2:], 1e-5, 1e-6)}
_ZO_ADAM: Final = {"zo_adam_lr": _ADAM}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A method's stages; each begins with the rates that those before it chose."""

    method: str
    stages: tuple[Stage, ...]


def _search(method: str, *stages: tuple[str, Mapping[str, tuple[float, ...]]], **f: Any) -> Search:
    seeds = 2 * len(SPLITS) // len(stages)
    return Search(
        method=method,
        stages=tuple(Stage(algorithm=a, axes=axes, seeds=seeds, fields=f) for a, axes in stages),
    )


_FIRST = ("high-res-only", _WARM_UP)
_FIRST_ADAM = ("high-res-only-fedadam", _FEDADAM)
SEARCHES: Final[dict[str, Search]] = {
    search.method: search
    for search in (
        _search("high-res-only", _FIRST),
        _search("zowarmup", _FIRST, ("zowarmup", _ZO)),
        _search("zowarmup-fedkseed", _FIRST, ("zowarmup-fedkseed", _ZO)),
        _search("heterofl", ("heterofl", _WARM_UP)),
        _search("fedkseed", ("fedkseed", _ZO)),
        _search("high-res-only-fedadam", _FIRST_ADAM, norm="group"),
        _search("zowarmup-fedadam", _FIRST_ADAM, ("zowarmup-fedadam", _ZO_ADAM), norm="group"),
    )
}


class UnfinishedError(Exception):
    """A rung's runs were not all begun in time, so that nothing can be chosen from it."""


def run_search(
    search: Search,
    scale: TableScale,
    rungs: Sequence[Rung],
    workplace: SweepRunner,
    splits: Sequence[str] = SPLITS,
) -> tuple[StageTrace, ...]:
    """Search a method's rates; cells that the store holds are not run again.

    Args:
        search: what to search.
        scale: what the cells train on.
        rungs: of the successive halving.
        workplace: runs the cells.
        splits: which the seeds take in turn.

    Raises:
        ValueError: every candidate of a last rung diverged or failed.
        UnfinishedError: time ran out; the message says how to go on.
    """
    chosen: dict[str, float] = {}
    traces = []
    for stage in search.stages:
        candidates = sample_grid(stage.axes, rungs[0].candidates, seed=_SAMPLE_SEED)
        known = replace(stage, fields={**stage.fields, **chosen}, seeds=_seeds(stage, splits))
        score = partial(_scores, workplace, known, scale, splits=splits)
        trials = halve(candidates, rungs, score)
        best = best_of(trials)
        chosen |= best
        tried = replace(stage, seeds=known.seeds)
        traces.append(StageTrace(stage=tried, trials=tuple(trials), chosen=best))
    return tuple(traces)


def budget_rounds(search: Search, rungs: Sequence[Rung], splits: Sequence[str] = SPLITS) -> int:
    """Count the rounds that a search may train, grids smaller than the first rung aside."""
    seeds = sum(_seeds(stage, splits) for stage in search.stages)
    return seeds * sum(r.candidates * r.rounds for r in rungs)


def _seeds(stage: Stage, splits: Sequence[str]) -> int:
    """Count a stage's seeds: as many for each split, whatever splits there are."""
    return stage.seeds * len(splits) // len(SPLITS)


def search_cell(
    stage: Stage,
    fields: Mapping[str, float],
    scale: TableScale,
    *,
    rounds: int,
    seed_index: int,
    splits: Sequence[str] = SPLITS,
) -> Cell:
    """Make the cell of one candidate, rung and seed."""
    chosen = {**scale.base, **stage.fields, **fields, "algorithm": stage.algorithm}
    chosen |= {"rounds": rounds, "pivot": round(scale.pivot_share * rounds), "eval_every": rounds}
    chosen["high_share"] = parse_split(splits[seed_index % len(splits)])
    return Cell(
        config=train_config(**taken_by(stage.algorithm, chosen), run_seed=FIRST_SEED + seed_index)
    )


def holdout_accuracy(training: CellTraining, high_share: float) -> float | None:
    """Average the final accuracy over all clients' hold-outs; None for a run that diverged."""
    high, low = training.last.high_accuracy, training.last.low_accuracy
    if training.outcome != "finished" or high is None or low is None:
        return None
    return high_share * high + (1 - high_share) * low


def _scores(
    workplace: SweepRunner,
    stage: Stage,
    scale: TableScale,
    candidates: Sequence[Candidate],
    rounds: int,
    *,
    splits: Sequence[str],
) -> list[float | None]:
    """Run a rung, a process for each seed and share of the candidates."""
    cells = [
        [
            search_cell(stage, c, scale, rounds=rounds, seed_index=index, splits=splits)
            for index in range(stage.seeds)
        ]
        for c in candidates
    ]
    missing = workplace.store.missing(cell for row in cells for cell in row)
    share = -(-len(missing) // (2 * workplace.engine.slots)) or 1  # a process starts in seconds
    shares = [missing[start : start + share] for start in range(0, len(missing), share)]
    ended = {result.key for result in workplace.run(shares)}  # none has a checkpoint to stop at
    if len(ended) < len(missing):
        raise UnfinishedError(
            f"{len(missing) - len(ended)} runs of a rung of {rounds} rounds were not started within"
            " --minutes, and a part of them decides nothing; run the same command with the same"
            " --out to continue"
        )
    return [mean_holdout(row, workplace.store) for row in cells]


def mean_holdout(cells: Sequence[Cell], store: CellStore) -> float | None:
    """Average the hold-out accuracy of runs; None where one is missing or diverged."""
    scores = []
    for cell in cells:
        found = store.done(cell)
        if found is None or found.training is None:
            return None
        scores.append(holdout_accuracy(found.training, cell.config.high_share))
    finished = [score for score in scores if score is not None]
    return statistics.fmean(finished) if len(finished) == len(scores) else None
