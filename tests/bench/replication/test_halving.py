from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_cells import training

from bench.replication.scales import RUNGS
from bench.replication.search import FIRST_SEED, SEARCHES, budget_rounds, holdout_accuracy
from bench.sweeps.halving import Candidate, Rung, best_of, halve, sample_grid

RUNGS_OF_THREE = (
    Rung(candidates=9, rounds=1),
    Rung(candidates=3, rounds=3),
    Rung(candidates=1, rounds=9),
)
NINE = [{"lr": float(rate)} for rate in range(9)]


def test_the_best_candidate_wins_and_each_rung_keeps_its_share() -> None:
    trials = halve(NINE, RUNGS_OF_THREE, lambda tried, rounds: [-abs(c["lr"] - 5) for c in tried])
    assert best_of(trials) == {"lr": 5.0}
    assert [sum(t.rounds == rung.rounds for t in trials) for rung in RUNGS_OF_THREE] == [9, 3, 1]


def test_a_candidate_that_diverges_is_worse_than_any_other() -> None:
    def score(tried: list[Candidate], rounds: int) -> list[float | None]:
        return [None if c["lr"] > 2 else c["lr"] for c in tried]

    assert best_of(halve(NINE, RUNGS_OF_THREE, score)) == {"lr": 2.0}  # type: ignore[arg-type]


def test_where_all_diverge_there_is_no_winner() -> None:
    with pytest.raises(ValueError, match="no candidate is left"):
        best_of(halve(NINE, RUNGS_OF_THREE, lambda tried, rounds: [None] * len(tried)))


def test_a_grid_is_drawn_without_repeats_and_the_seed_fixes_the_order() -> None:
    axes = {"a": (1.0, 2.0, 3.0), "b": (4.0, 5.0)}
    every = sample_grid(axes, 99, seed=1)
    assert sorted(map(tuple, map(dict.values, every))) == sorted(
        (a, b) for a in axes["a"] for b in axes["b"]
    )
    assert sample_grid(axes, 4, seed=1) == every[:4]
    assert sample_grid(axes, 6, seed=2) != every


@pytest.mark.parametrize("scale", RUNGS)
def test_every_method_may_train_the_same_number_of_rounds(scale: str) -> None:
    budgets = {budget_rounds(search, RUNGS[scale]) for search in SEARCHES.values()}
    assert len(budgets) == 1


def test_the_search_looks_at_hold_outs_alone() -> None:
    done = training(0.8)  # and half of that over the low-resource clients' hold-outs
    other = replace(done, curve=(replace(done.last, test_accuracy=0.1),))
    scores = [holdout_accuracy(each, 0.25) for each in (done, other)]
    assert scores == pytest.approx([0.5, 0.5])
    assert holdout_accuracy(training(0.8, outcome="diverged"), 0.25) is None


def test_the_search_uses_seeds_that_no_table_uses() -> None:
    assert FIRST_SEED > 100
