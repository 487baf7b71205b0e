"""The study of split directions: its side-by-side forwards, its choices, its tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from bench.replication import rate_range, split_runs
from bench.replication.split_runs import Runner
from bench.replication.split_study import (
    BUDGETS,
    CANDIDATES,
    Budget,
    choose,
    compared_cells,
    search_cells,
)
from bench.replication.split_tables import fill, forwards_to
from bench.replication.stacked_losses import directions, stacked
from bench.sweeps.cell import CellStore
from zo_core import rademacher
from zo_core.algorithms import train_config
from zo_core.algorithms.methods.zowarmup_split import SplitStep
from zo_core.data import load_dataset
from zo_core.federation.simulation.training import Training
from zo_core.payloads.core import ScalarUpdate

SMALL: dict[str, Any] = {"dataset": "digits", "clients": 10, "rounds": 4, "pivot": 1}
SMALL |= {"eval_every": 1, "local_epochs": 1}
TINY = Budget(
    name="digits-80",
    base=SMALL,
    splits=("10/90",),
    search_seeds=2,
    seeds=3,
    methods=("zowarmup", "split"),
)


def test_directions_drawn_at_once_are_the_streams() -> None:
    sizes, seeds = (5, 130, 0, 128, 300), (1, 2**63 + 5)
    for row, seed in zip(directions(sizes, seeds), seeds, strict=True):
        expected = np.concatenate([rademacher(seed, t, n) for t, n in enumerate(sizes)])
        assert row.tolist() == expected.tolist()


@pytest.mark.parametrize("splits", [1, 3])
def test_forwards_side_by_side_give_the_methods_scalars(splits: int) -> None:
    """Up to the last bits of a loss, which are those of another order of sums."""
    training = Training(
        train_config("zowarmup-split", **SMALL, splits=splits), load_dataset("digits")
    )
    training.step(0)
    training.prepare(1)
    method = cast(SplitStep, training.schedule.method_at(1))
    client, context = training.client_data(0), training.context_of(1)
    plain, other = (
        cast(ScalarUpdate, m.client_update(training.replica, client, context)).differences
        for m in (method, stacked(method))
    )
    assert np.sqrt(np.mean((plain - other) ** 2)) < 1e-3 * np.sqrt(np.mean(plain**2))


def test_a_shared_warm_up_changes_nothing() -> None:
    cells = [c for k in (1, 2) for c in compared_cells(TINY, {"splits": k}, "10/90")[:1]]
    runner = Runner()
    together = [runner.run(cell).training for cell in cells]
    alone = Runner().run(cells[1]).training
    assert alone is not None
    assert together[1] is not None
    for name in ("digest", "up_payload_bytes", "passes_by_method", "rounds_done"):
        assert getattr(together[1], name) == getattr(alone, name)


def test_runs_of_larger_items_are_the_products_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_runs, "_SMALL_ITEM", 63)  # an image of the digits has 64 values
    cell = compared_cells(TINY, {"splits": 2}, "10/90")[0]
    alone = Training(cell.config, load_dataset("digits"))
    alone.run()
    found = Runner().run(cell).training
    assert found is not None
    assert found.digest == alone.record.digest


def test_every_method_has_as_many_candidates() -> None:
    assert len({len(candidates) for candidates in CANDIDATES.values()}) == 1
    assert {method for budget in BUDGETS for method in budget.methods} <= CANDIDATES.keys()


def test_a_choice_waits_for_all_its_runs(tmp_path: Path) -> None:
    store = CellStore.below(tmp_path)
    first, *others = CANDIDATES["split"]
    result = replace(Runner().run(search_cells(TINY, {**first, "splits": 2}, "10/90")[0]))
    store.write(result)
    assert choose(TINY, "split", "10/90", store) is None
    assert others


def test_an_accuracy_is_reached_by_three_evaluations_in_a_row() -> None:
    accuracies = [0.1, 0.9, 0.5, 0.9, 0.9, 0.9]
    run = Runner().run(compared_cells(TINY, {"splits": 1}, "10/90")[0]).training
    assert run is not None
    curve = tuple(
        replace(run.last, rounds_done=2 + r, test_accuracy=a) for r, a in enumerate(accuracies)
    )
    run = replace(run, curve=curve)
    budget = replace(TINY, base={"pivot": 1, "rounds": 9})
    assert forwards_to(run, 0.8, budget) == (5 - 1) / 8
    assert forwards_to(run, 0.95, budget) is None


def test_a_page_is_filled_between_its_markers(tmp_path: Path) -> None:
    page = "a\n<!-- study: generated -->\nold\n<!-- end of study -->\nb"
    filled = fill(page, CellStore.below(tmp_path))
    assert filled.startswith("a\n")
    assert filled.endswith("\nb")
    assert "No run has been made yet." in filled


def test_good_rates_are_the_unbroken_run_around_a_variants_best() -> None:
    means = [0.5, 0.89, 0.7, 0.88, 0.9, 0.89, 0.87, *[0.1] * 5]
    assert rate_range.good_rates(means, best=0.9) == (rate_range.RATES[3], rate_range.RATES[5])


def test_a_variant_whose_best_is_too_low_has_no_good_rate() -> None:
    assert rate_range.good_rates([0.8] * 12, best=0.9) is None


def test_a_test_accuracy_is_the_mean_of_runs_that_all_ended(tmp_path: Path) -> None:
    store = CellStore.below(tmp_path)
    runs = search_cells(TINY, {"splits": 1}, "10/90")
    results = [Runner().run(cell) for cell in runs]
    for result in results:
        assert rate_range.mean_test(runs, store) is None
        store.write(result)
    found = [r.training.last.test_accuracy for r in results if r.training is not None]
    assert rate_range.mean_test(runs, store) == pytest.approx(sum(found) / 2)


def test_a_range_has_a_run_for_each_variant_rate_and_seed(tmp_path: Path) -> None:
    store = CellStore.below(tmp_path)
    runs = [
        cell
        for variant in rate_range.VARIANTS
        for each in rate_range.judged(variant, store)
        for cell in each
    ]
    assert len({cell.key for cell in runs}) == 12 * (8 + 4 + 4 + 8)


def test_above_a_rate_at_which_a_run_diverged_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [c.key for c in rate_range.cells("constant rate", rate_range.RATES[2])]
    for owner, name, value in (
        (CellStore, "missing", lambda _, cells: []),
        (rate_range, "mean_holdout", lambda cells, _: None if cells[0].key in lost else 0.5),
    ):
        monkeypatch.setattr(owner, name, value)
    monkeypatch.setitem(rate_range.MEASURES, "all hold-outs", rate_range.mean_holdout)
    store = CellStore.below(tmp_path)
    assert len(list(rate_range.judged("constant rate", store))) == 3
    found = rate_range.accuracies("constant rate", store, "all hold-outs")
    assert found == [0.5, 0.5, *[0.0] * 10]


def test_the_range_is_not_tabled_before_it_was_run(tmp_path: Path) -> None:
    assert rate_range.tables(CellStore.below(tmp_path)) == ""
