"""Every method of the registry on the digits: at equal rounds and at equal item passes.

``python -m bench.replication.method_study --out FOLDER`` runs what is missing, in one process with
one thread, and keeps each run as a cell; the same command continues.  Each method's rate is the
best of three on hold-outs, one seed at 10/90; the compared runs have seeds from 0 on.  Equal item
passes are those of ZOWarmUp's rounds at the same split.  The cells of Table 4 are made on the way.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bench.replication.definitions import TABLES
from bench.replication.rates import read_rates
from bench.replication.scales import TABLE_SCALES
from bench.replication.search import FIRST_SEED, mean_holdout
from bench.replication.spec import cells_of
from bench.sweeps.cell import Cell, CellResult, CellStore
from bench.sweeps.task import result_of
from zo_core.algorithms import ALGORITHMS, taken_by, train_config
from zo_core.data.resources import parse_split
from zo_core.options import declared

OUT: Final = Path("results/xeon-2core/tables-methods")
REFERENCE: Final = "zowarmup"  # whose item passes the others get
WARM_UP: Final = "high-res-only"  # whose chosen rate every warm-up takes
SPLITS: Final = ("10/90", "50/50")
SEARCH_SPLIT: Final = "10/90"
SEEDS: Final = 5
ROUNDS: Final = 80
PIVOT_SHARE: Final = 0.4
EVALUATIONS: Final = 20
BASE: Final[dict[str, Any]] = {"dataset": "digits", "model": "cnn", "budget": "rounds"}
# the first of these that a method declares is searched, over three values each
AXES: Final[dict[str, tuple[float, ...]]] = {
    "zo_adam_lr": (0.01, 0.005, 0.001),
    "adam_lr": (0.01, 0.003, 0.001),
    "zo_server_lr": (0.1, 0.05, 0.02),
    "client_lr": (0.5, 0.1, 0.02),
}
FEDADAM_CLIENT_LR: Final = 0.1  # of the search on the digits with 60 rounds

Fields = Mapping[str, Any]


def candidates(method: str, store: CellStore) -> list[Fields] | None:
    """List what a method's search tries; None while the warm-up's rates are not chosen."""
    names = {field.name for field in declared(ALGORITHMS[method].options)}
    axis = next(name for name in AXES if name in names)
    found: Fields | None
    if axis == "zo_adam_lr":
        found = choose("high-res-only-fedadam", store)
    elif axis == "adam_lr":
        found = {"client_lr": FEDADAM_CLIENT_LR}
    elif axis == "zo_server_lr" and "client_lr" in names:
        found = choose(WARM_UP, store)
    else:
        found = {}
    return None if found is None else [{**found, axis: rate} for rate in AXES[axis]]


def choose(method: str, store: CellStore) -> Fields | None:
    """Return a method's best rates on hold-outs; None while runs are missing or all diverged."""
    tried = candidates(method, store)
    if tried is None or store.missing(search_cell(method, fields) for fields in tried):
        return None
    scored = [(score(method, fields, store), fields) for fields in tried]
    known = [(found, fields) for found, fields in scored if found is not None]
    return max(known, key=lambda each: each[0])[1] if known else None


def score(method: str, fields: Fields, store: CellStore) -> float | None:
    """Return a candidate's accuracy on all hold-outs; None where it is missing or diverged."""
    return mean_holdout([search_cell(method, fields)], store)


def search_cell(method: str, fields: Fields) -> Cell:
    """Make the cell by whose hold-outs a candidate is judged."""
    return _cell(method, fields, SEARCH_SPLIT, FIRST_SEED, ROUNDS)


def equal_rounds(method: str, fields: Fields, split: str, seed: int) -> Cell:
    """Make a compared cell of the common number of rounds."""
    return _cell(method, fields, split, seed, ROUNDS)


def equal_passes(
    method: str, fields: Fields, split: str, seed: int, store: CellStore
) -> Cell | None:
    """Make a compared cell of as many item passes as ZOWarmUp's; None while those are unknown."""
    passes = [_passes(name, split, store) for name in (REFERENCE, method)]
    if None in passes:
        return None
    reference, own = (each or 1 for each in passes)
    return _cell(method, fields, split, seed, round(ROUNDS * reference / own))


def _passes(method: str, split: str, store: CellStore) -> int | None:
    """Item passes of a method's common rounds, from its first run that finished."""
    fields = choose(method, store)
    for seed in range(SEEDS) if fields is not None else ():
        found = store.done(equal_rounds(method, fields or {}, split, seed))
        training = None if found is None else found.training
        if training is not None and training.outcome == "finished":
            return training.item_passes
    return None


def _cell(method: str, fields: Fields, split: str, seed: int, rounds: int) -> Cell:
    chosen = {
        **BASE,
        **fields,
        "algorithm": method,
        "rounds": rounds,
        "pivot": round(PIVOT_SHARE * rounds),
        "eval_every": max(1, rounds // EVALUATIONS),
        "high_share": parse_split(split),
    }
    return Cell(config=train_config(**taken_by(method, chosen), run_seed=seed))


def todo(store: CellStore) -> Iterator[Cell]:
    """Yield missing cells: the searches, then seed after seed, so that a part of them is fair."""
    for name in (WARM_UP, "high-res-only-fedadam", *ALGORITHMS):
        for fields in candidates(name, store) or ():
            yield from store.missing([search_cell(name, fields)])
    table_4 = list(table_4_cells())
    for seed in range(SEEDS):
        for split in SPLITS:
            chosen = {name: choose(name, store) for name in ALGORITHMS}
            known = {name: fields for name, fields in chosen.items() if fields is not None}
            for name, fields in known.items():
                yield from store.missing([equal_rounds(name, fields, split, seed)])
            for name, fields in known.items():
                cell = equal_passes(name, fields, split, seed, store)
                yield from store.missing([cell] if cell is not None else [])
        yield from store.missing(c for c in table_4 if c.config.run_seed == seed)


def table_4_cells() -> Iterator[Cell]:
    """Yield the cells of the paper's Table 4 on the digits, five seeds."""
    scale = TABLE_SCALES["default"]
    cells = cells_of(TABLES["table4"], scale, read_rates(scale.rates), runs=SEEDS)
    return (cell for _, _, cell in cells)


def run(cell: Cell) -> CellResult:
    """Train a cell in this process with one thread; an error is a result as well."""
    import torch

    from bench.sweeps.worker import run_cells

    torch.set_num_threads(1)
    started = time.perf_counter()
    try:
        (found,) = run_cells([cell.config.to_json()])
    except (ValueError, RuntimeError, ArithmeticError) as error:
        return result_of(cell, "cpu", status="error", error=f"{type(error).__name__}: {error}")
    return result_of(
        cell,
        "cpu",
        status="ok",
        training=found,
        seconds=time.perf_counter() - started,
    )


def main() -> None:
    """Run what is missing until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the cells")
    parser.add_argument("--minutes", type=float, default=1e9, help="no run starts after them")
    options = parser.parse_args()
    store, end = CellStore.below(options.out), time.monotonic() + 60 * options.minutes
    failed: set[str] = set()
    for cell in todo(store):
        if time.monotonic() > end:
            return
        if cell.key in failed:
            continue
        result = run(cell)
        store.write(result)
        if result.status != "ok":
            failed.add(cell.key)
        print(_line(cell, result), flush=True)


def _line(cell: Cell, result: CellResult) -> str:
    config = cell.config
    what = f"{config.algorithm}, {config.rounds} rounds, {config.high_share:g} high, "
    what += f"seed {config.run_seed}"
    if result.training is None:
        return f"{what}: {result.error}"
    return f"{what}: {100 * result.training.last.accuracy:.1f} %, {result.seconds:.0f} s"


if __name__ == "__main__":
    main()
