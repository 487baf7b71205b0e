"""The study of split directions: ZOWarmUp and zowarmup-split at equal item-forwards.

``python -m bench.replication.split_study --minutes 30`` runs what is missing, one process, one
thread, and keeps each run as a cell; the same command continues.  Every method chooses among six
candidates for each split, by hold-outs of seeds from 1000 on: two on the digits, whose hold-outs
have 100 items, one where they have 42,000 or 35,000.  The compared runs have seeds from 10 on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

from bench.replication.search import FIRST_SEED, mean_holdout
from bench.replication.split_runs import Runner
from bench.sweeps.cell import Cell, CellResult, CellStore
from zo_core.algorithms import train_config
from zo_core.data.resources import parse_split

OUT: Final = Path("results/split-directions")
PAPER: Final = "zowarmup"  # what the others are compared with
FRESH_SEED: Final = 10  # of the first compared run; an earlier, smaller study used those below

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One data set and schedule, on which the methods are compared."""

    name: str
    base: Fields
    splits: tuple[str, ...]
    search_seeds: int
    seeds: int
    methods: tuple[str, ...]


def _grid(splits: tuple[int, ...], rates: tuple[float, ...], **fields: Any) -> tuple[Fields, ...]:
    return tuple({"splits": k, "zo_server_lr": lr, **fields} for k, lr in product(splits, rates))


# k = 1 is ZOWarmUp to the bit; six candidates each
CANDIDATES: Final[dict[str, tuple[Fields, ...]]] = {
    PAPER: _grid((1,), (0.003125, 0.00625, 0.0125, 0.025, 0.05, 0.1)),
    "split": _grid((4, 13), (0.05, 0.1, 0.2)),
    "sign": _grid((21,), (0.025, 0.05, 0.1, 0.2, 0.4, 0.8), scalars="sign"),
    "scheduled": _grid((4, 13), (0.1, 0.2, 0.4), zo_schedule="cosine"),
}
_SMALL: Final = {"model": "cnn", "holdout_share": 0.7, "micro_batch": 256}
BUDGETS: Final = (
    Budget(
        name="digits-80",
        base={"dataset": "digits", "rounds": 80, "pivot": 32, "eval_every": 2},
        splits=("10/90", "30/70", "50/50"),
        search_seeds=2,
        seeds=10,
        methods=(PAPER, "split", "sign", "scheduled"),
    ),
    Budget(
        name="digits-400",
        base={"dataset": "digits", "rounds": 400, "pivot": 100, "eval_every": 10},
        splits=("10/90", "30/70", "50/50"),
        search_seeds=2,
        seeds=5,
        methods=(PAPER, "split"),
    ),
    *(
        Budget(
            name=f"{name}-100",
            base={"dataset": name, "rounds": 100, "pivot": 40, "eval_every": 5, **_SMALL},
            splits=("10/90",),
            search_seeds=1,
            seeds=3,
            methods=(PAPER, "split"),
        )
        for name in ("fashion-mnist", "cifar10")
    ),
)


def search_cells(budget: Budget, candidate: Fields, split: str) -> list[Cell]:
    """Make the cells by whose hold-outs a candidate is judged on a split."""
    seeds = range(FIRST_SEED, FIRST_SEED + budget.search_seeds)
    at_the_end = {**candidate, "eval_every": budget.base["rounds"]}
    return [_cell(budget, at_the_end, split, seed) for seed in seeds]


def compared_cells(budget: Budget, chosen: Fields, split: str) -> list[Cell]:
    """Make the cells of a method's chosen fields, one for each seed."""
    seeds = range(FRESH_SEED, FRESH_SEED + budget.seeds)
    return [_cell(budget, chosen, split, seed) for seed in seeds]


def score(budget: Budget, candidate: Fields, split: str, store: CellStore) -> float | None:
    """Average a candidate's hold-out accuracy; None where a run is missing or diverged."""
    return mean_holdout(search_cells(budget, candidate, split), store)


def choose(budget: Budget, method: str, split: str, store: CellStore) -> Fields | None:
    """Return a method's best candidate on a split's hold-outs; None while runs are missing."""
    candidates = CANDIDATES[method]
    if store.missing(cell for each in candidates for cell in search_cells(budget, each, split)):
        return None
    return max(candidates, key=lambda each: score(budget, each, split, store) or 0.0)


def _cell(budget: Budget, fields: Fields, split: str, seed: int) -> Cell:
    chosen = {**budget.base, **fields, "high_share": parse_split(split), "run_seed": seed}
    return Cell(config=train_config("zowarmup-split", **chosen))


def _todo(budgets: tuple[Budget, ...], methods: Sequence[str], store: CellStore) -> Iterator[Cell]:
    """Yield missing cells, split after split: the searches, then the compared seeds."""
    for budget, split in ((each, split) for each in budgets for split in each.splits):
        taken = [method for method in budget.methods if method in methods]
        for candidate in (each for method in taken for each in CANDIDATES[method]):
            yield from store.missing(search_cells(budget, candidate, split))
        chosen = [f for method in taken if (f := choose(budget, method, split, store)) is not None]
        for fields in chosen:
            yield from store.missing(compared_cells(budget, fields, split))


def main() -> None:
    """Run what is missing until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the cells")
    parser.add_argument("--only", nargs="*", help="names of budgets; default: all")
    parser.add_argument("--methods", nargs="*", default=list(CANDIDATES), choices=CANDIDATES)
    parser.add_argument("--minutes", type=float, default=1e9, help="no run starts after them")
    parser.add_argument("--data-dir", type=Path, help="folder of data sets that are files")
    parser.add_argument("--no-verify", action="store_true", help="read files of any md5")
    options = parser.parse_args()
    chosen = tuple(each for each in BUDGETS if not options.only or each.name in options.only)
    store, end = CellStore.below(options.out), time.monotonic() + 60 * options.minutes
    runner = Runner(data_dir=options.data_dir, verify=not options.no_verify)
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
