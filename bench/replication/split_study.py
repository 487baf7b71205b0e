"""The study of split directions: ZOWarmUp and zowarmup-split at equal item-forwards.

``python -m bench.replication.split_study --minutes 30`` runs what is missing, one process, one
thread, and keeps each run as a cell; the same command continues.  Rates and k come from hold-outs
of seeds from 1000 on, three candidates for every method; the compared runs have seeds from 0 on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

from bench.replication.search import FIRST_SEED, holdout_accuracy
from bench.replication.split_runs import Runner
from bench.sweeps.cell import Cell, CellResult, CellStore
from zo_core.algorithms import train_config
from zo_core.data.resources import parse_split

OUT: Final = Path("results/split-directions")
PAPER: Final = "zowarmup"  # what the others are compared with
SEARCH_SPLITS: Final = ("10/90",)  # one search seed each; one choice serves all splits

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One data set and schedule, on which the methods are compared."""

    name: str
    base: Fields
    splits: tuple[str, ...]
    seeds: int
    methods: tuple[str, ...]


def _grid(splits: tuple[int, ...], rates: tuple[float, ...], **fields: Any) -> tuple[Fields, ...]:
    return tuple({"splits": k, "zo_server_lr": lr, **fields} for k, lr in product(splits, rates))


# k = 1 is ZOWarmUp to the bit; three candidates each
CANDIDATES: Final[dict[str, tuple[Fields, ...]]] = {
    PAPER: _grid((1,), (0.0125, 0.025, 0.05)),
    "split": (*_grid((4,), (0.1,)), *_grid((13,), (0.1, 0.2))),
    "sign": _grid((21,), (0.1, 0.2, 0.4), scalars="sign"),
}
_SMALL: Final = {"model": "cnn", "holdout_share": 0.7, "micro_batch": 256}
BUDGETS: Final = (
    Budget(
        name="digits-80",
        base={"dataset": "digits", "rounds": 80, "pivot": 32, "eval_every": 2},
        splits=("10/90", "30/70", "50/50"),
        seeds=5,
        methods=(PAPER, "split", "sign"),
    ),
    Budget(
        name="digits-400",
        base={"dataset": "digits", "rounds": 400, "pivot": 100, "eval_every": 10},
        splits=("10/90", "30/70", "50/50"),
        seeds=5,
        methods=(PAPER, "split"),
    ),
    *(
        Budget(
            name=f"{name}-100",
            base={"dataset": name, "rounds": 100, "pivot": 40, "eval_every": 5, **_SMALL},
            splits=("10/90",),
            seeds=3,
            methods=(PAPER, "split"),
        )
        for name in ("fashion-mnist", "cifar10")
    ),
)


def search_cells(budget: Budget, candidate: Fields) -> list[Cell]:
    """Make the cells by whose hold-outs a candidate is judged."""
    return [
        _cell(budget, candidate, split, FIRST_SEED + index)
        for index, split in enumerate(SEARCH_SPLITS)
    ]


def compared_cells(budget: Budget, chosen: Fields, split: str) -> list[Cell]:
    """Make the cells of a method's chosen fields, one for each seed."""
    return [_cell(budget, chosen, split, seed) for seed in range(budget.seeds)]


def score(budget: Budget, candidate: Fields, store: CellStore) -> float | None:
    """Average a candidate's hold-out accuracy; None where a run is missing or diverged."""
    scores = []
    for cell in search_cells(budget, candidate):
        found = store.done(cell)
        if found is None or found.training is None:
            return None
        scores.append(holdout_accuracy(found.training, cell.config.high_share))
    known = [each for each in scores if each is not None]
    return sum(known) / len(known) if len(known) == len(scores) else None


def choose(budget: Budget, method: str, store: CellStore) -> Fields | None:
    """Return a method's best candidate on hold-outs; None while runs are missing."""
    candidates = CANDIDATES[method]
    if store.missing(cell for each in candidates for cell in search_cells(budget, each)):
        return None
    return max(candidates, key=lambda each: score(budget, each, store) or 0.0)


def _cell(budget: Budget, fields: Fields, split: str, seed: int) -> Cell:
    chosen = {**budget.base, **fields, "high_share": parse_split(split), "run_seed": seed}
    return Cell(config=train_config("zowarmup-split", **chosen))


def _todo(budgets: tuple[Budget, ...], methods: Sequence[str], store: CellStore) -> Iterator[Cell]:
    """Yield missing cells: of each budget the searches, then split after split, seed after seed."""
    for budget in budgets:
        taken = [method for method in budget.methods if method in methods]
        for candidate in (each for method in taken for each in CANDIDATES[method]):
            yield from store.missing(search_cells(budget, candidate))
        for split in budget.splits:
            chosen = [fields for m in taken if (fields := choose(budget, m, store)) is not None]
            rows = zip(*(compared_cells(budget, fields, split) for fields in chosen), strict=True)
            for row in rows:
                yield from store.missing(row)


def main() -> None:
    """Run what is missing until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the cells")
    parser.add_argument("--only", nargs="*", help="names of budgets; default: all")
    parser.add_argument("--methods", nargs="*", default=list(CANDIDATES), choices=CANDIDATES)
    parser.add_argument("--minutes", type=float, default=1e9, help="no run starts after them")
    parser.add_argument("--data-dir", type=Path, help="folder of data sets that are files")
    options = parser.parse_args()
    chosen = tuple(each for each in BUDGETS if not options.only or each.name in options.only)
    store, end = CellStore.below(options.out), time.monotonic() + 60 * options.minutes
    runner = Runner(data_dir=options.data_dir)
    for cell in _todo(chosen, options.methods, store):
        if time.monotonic() > end:
            return
        result = runner.run(cell)
        store.write(result)
        print(_line(cell, result), flush=True)


def _line(cell: Cell, result: CellResult) -> str:
    fields = cell.config.to_json()
    names = ("dataset", "rounds", "high_share", "run_seed", "splits", "zo_server_lr", "scalars")
    shown = [f"{name} {fields[name]}" for name in names]
    assert result.training is not None  # the runner raises where there is none
    accuracy = result.training.last.accuracy
    return f"{', '.join(shown)}: test accuracy {accuracy:.3f}, {result.seconds:.0f} s"


if __name__ == "__main__":
    main()
