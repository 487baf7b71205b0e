"""How a run ended: converged, no better than guessing, or diverged; never a crash."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from zo_core.algorithms import ALGORITHMS, taken_by, train_config
from zo_core.data import Dataset
from zo_core.data.synthetic import synthetic_blobs
from zo_core.federation.record import Evaluation, TrainingRecord
from zo_core.federation.simulation.evaluation import chance_level
from zo_core.federation.simulation.training import Training

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def record(high: float | None, low: float | None, guessing: float | None) -> TrainingRecord:
    last = Evaluation(
        rounds_done=1,
        test_accuracy=0.9,
        high_accuracy=high,
        low_accuracy=low,
        worst_decile_accuracy=None,
        up_payload_bytes=0,
        down_payload_bytes=0,
        item_passes=0,
        elapsed_s=0.0,
    )
    config = train_config(clients=10, warmup_cohort=2)
    return TrainingRecord(config=config, high=(0, 1), curve=[last], chance_level=guessing)


def test_hold_outs_are_pooled_over_both_groups_and_compared_with_guessing() -> None:
    """2 clients at 0.6 and 8 at 0.1 are 0.2 together."""
    assert record(0.6, 0.1, 0.19).holdout_accuracy == pytest.approx(0.2)
    assert record(0.6, 0.1, 0.19).verdict == "finished"
    assert record(0.6, 0.1, 0.21).verdict == "did not converge"
    assert record(0.6, None, 0.7).verdict == "did not converge"
    assert record(None, None, None).verdict == "finished"
    diverged = record(0.6, 0.6, 0.2)
    diverged.outcome = "diverged"
    assert diverged.verdict == "diverged"


def test_guessing_is_the_most_frequent_label_and_three_standard_errors() -> None:
    labels = np.array([3] * 40 + [1] * 60)
    assert chance_level(labels) == pytest.approx(0.6 + 3 * math.sqrt(0.6 * 0.4 / 100))
    drawn = np.random.default_rng(1).integers(0, 10, (200, 1000))
    truth = np.arange(1000) % 10
    assert (drawn == truth).mean(axis=1).max() < chance_level(truth)


@pytest.fixture(scope="module")
def blobs() -> Dataset:
    return synthetic_blobs(train_items=300, test_items=100)


CONFIG: dict[str, Any] = {
    "dataset": "synthetic",
    "clients": 4,
    "high_share": 0.5,
    "holdout_share": 0.3,
    "alpha": 1.0,
    "rounds": 3,
    "pivot": 1,
    "warmup_cohort": 2,
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_run_that_overflows_ends_as_diverged(name: str, blobs: Dataset) -> None:
    rates = taken_by(name, dict.fromkeys(("client_lr", "zo_server_lr", "zo_adam_lr"), 1e30))
    done = Training(train_config(name, **CONFIG, **rates), blobs).run()
    assert done.verdict == done.outcome == "diverged"
    assert done.reason is not None
    assert done.reason.startswith("round ")
    assert done.digest is not None
    assert done.curve[-1].rounds_done == done.rounds_done < 3


def test_a_run_too_short_to_learn_does_not_converge(blobs: Dataset) -> None:
    """GIVEN three rounds of FedKSeed from scratch."""
    done = Training(train_config("fedkseed", **CONFIG), blobs).run()
    assert (done.outcome, done.verdict) == ("finished", "did not converge")


def test_a_run_that_learns_has_converged(blobs: Dataset) -> None:
    done = Training(train_config("fedavg", **(CONFIG | {"rounds": 12})), blobs).run()
    assert (done.outcome, done.verdict) == ("finished", "finished")
