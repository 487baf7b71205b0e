"""How wide the range of good rates is: with a schedule, a second moment or an adaptive step
length, and without.

``python -m bench.replication.rate_range`` runs what is missing, one process, one thread, and keeps
each run as a cell beside those of the study of split directions; the same command continues.
Above a rate at which a run diverged nothing is run: those rates count as diverged.
Every rate is judged on the hold-outs of four or eight seeds that no compared run has.  The same
runs' accuracy on the test images, which nothing was chosen by, has less than a third of their
variance.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.replication.search import FIRST_SEED, mean_holdout
from bench.replication.split_runs import Runner
from bench.replication.split_study import OUT
from bench.sweeps.cell import Cell, CellStore
from zo_core.algorithms import train_config
from zo_core.data.resources import parse_split

RATES: Final = tuple(2.0**power / 320 for power in range(12))  # 0.003125 to 6.4
TOLERANCE: Final = 0.02  # of accuracy below the best of all variants and rates
BASE: Final[dict[str, Any]] = {
    "dataset": "digits",
    "rounds": 80,
    "pivot": 32,
    "eval_every": 80,
    "splits": 4,
    "high_share": parse_split("10/90"),
}
_MOMENT: Final = {"second_moment": 0.9, "clip_quantile": 0.95}


@dataclass(frozen=True)
class Variant:
    """What is compared with a constant rate."""

    fields: Mapping[str, Any]
    seeds: int


VARIANTS: Final = {
    "constant rate": Variant({}, seeds=8),
    "second moment": Variant(_MOMENT, seeds=4),
    "second moment, cosine schedule": Variant({**_MOMENT, "zo_schedule": "cosine"}, seeds=4),
    "adaptive step length": Variant({"zo_step_length": "adaptive"}, seeds=8),
}


def cells(variant: str, rate: float) -> list[Cell]:
    """Make the cells that judge a rate, one for each seed."""
    chosen = VARIANTS[variant]
    fields = {**BASE, **chosen.fields, "zo_server_lr": rate}
    seeds = range(FIRST_SEED, FIRST_SEED + chosen.seeds)
    return [Cell(config=train_config("zowarmup-split", **fields, run_seed=seed)) for seed in seeds]


def mean_test(runs: Sequence[Cell], store: CellStore) -> float | None:
    """Average the final test accuracy of runs; None where one is missing or diverged."""
    found = [each.training for run in runs if (each := store.done(run)) is not None]
    ended = [t.last.test_accuracy for t in found if t is not None and t.outcome == "finished"]
    known = [accuracy for accuracy in ended if accuracy is not None]
    return statistics.fmean(known) if len(known) == len(runs) else None


MEASURES: Final[dict[str, Callable[[Sequence[Cell], CellStore], float | None]]] = {
    "all hold-outs": mean_holdout,
    "the test images": mean_test,
}


def judged(variant: str, store: CellStore) -> Iterator[list[Cell]]:
    """Yield each rate's cells, from the lowest rate to the first at which a run diverged."""
    for rate in RATES:
        found = cells(variant, rate)
        yield found
        if not store.missing(found) and mean_holdout(found, store) is None:
            return


def accuracies(variant: str, store: CellStore, measure: str) -> list[float] | None:
    """Average a measure for every rate, 0 where a run diverged; None while runs are missing."""
    runs = list(judged(variant, store))
    if store.missing(cell for each in runs for cell in each):
        return None
    means = [MEASURES[measure](each, store) or 0.0 for each in runs]
    return means + [0.0] * (len(RATES) - len(means))


def good_rates(means: Sequence[float], best: float) -> tuple[float, float] | None:
    """Return the lowest and highest rate of the run of good ones around a variant's best.

    Good is at most `TOLERANCE` below ``best``; None where not even the variant's best rate is.
    """
    at = max(range(len(means)), key=means.__getitem__)
    good = [each >= best - TOLERANCE for each in means]
    if not good[at]:
        return None
    low = high = at
    while low > 0 and good[low - 1]:
        low -= 1
    while high + 1 < len(good) and good[high + 1]:
        high += 1
    return RATES[low], RATES[high]


def tables(store: CellStore) -> str:
    """Write a table for each measure; empty without runs."""
    return "\n\n".join(found for measure in MEASURES if (found := _table(store, measure)))


def _table(store: CellStore, measure: str) -> str:
    """Write each variant's accuracy by rate and its range of good rates; empty without runs."""
    every = {name: accuracies(name, store, measure) for name in VARIANTS}
    known = {name: means for name, means in every.items() if means is not None}
    if not known:
        return ""
    head = f"**digits-80: the range of rates**, 10/90, k = {BASE['splits']}, accuracy over "
    head += f"{measure}, n seeds\n\n"
    columns = [f"{name}, n = {VARIANTS[name].seeds}" for name in known]
    head += f"| rate | {' | '.join(columns)} |\n|---|{'---|' * len(known)}\n"
    rows = [
        f"| {rate:g} | {' | '.join(_written(means[at]) for means in known.values())} |"
        for at, rate in enumerate(RATES)
    ]
    best = max(max(means) for means in known.values())
    widths = [_described(good_rates(means, best)) for means in known.values()]
    return head + "\n".join([*rows, f"| within 2 points of the best | {' | '.join(widths)} |"])


def _written(mean: float) -> str:
    return f"{100 * mean:.1f} %" if mean else "diverged"


def _described(found: tuple[float, float] | None) -> str:
    return "none" if found is None else f"{found[0]:g} to {found[1]:g}, {found[1] / found[0]:g} x"


def _todo(store: CellStore) -> Iterator[Cell]:
    for variant in VARIANTS:
        for found in judged(variant, store):
            yield from store.missing(found)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the cells")
    store, runner = CellStore.below(parser.parse_args().out), Runner()
    for cell in _todo(store):
        store.write(runner.run(cell))
        print(f"{cell.config.run_seed}: {cell.config.to_json()}", flush=True)


if __name__ == "__main__":
    main()
