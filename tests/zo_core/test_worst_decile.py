"""The accuracy of those who fare worst, by hand and in a run."""

from __future__ import annotations

import numpy as np
import pytest

from zo_core.algorithms import train_config
from zo_core.data import load_dataset
from zo_core.federation.simulation.evaluation import worst_decile
from zo_core.federation.simulation.training import Training
from zo_core.loss.module_loss import correct_items

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([0.75], 0.75),
        ([1.0, 0.5], 0.5),  # a tenth of two clients is one client
        ([0.9] * 9 + [0.1], 0.1),
        ([0.9] * 9 + [0.1, 0.3], 0.2),  # eleven: two
    ],
)
def test_it_is_the_mean_over_the_lowest_tenth_at_least_over_one(
    accuracies: list[float], expected: float
) -> None:
    for order in (accuracies, accuracies[::-1]):
        assert worst_decile(np.array(order)) == pytest.approx(expected)


def test_a_run_reports_it_over_each_clients_own_hold_out() -> None:
    fields = {"clients": 6, "rounds": 3, "pivot": 2, "warmup_cohort": 2, "high_share": 0.5}
    training = Training(train_config(**fields), load_dataset("digits"))  # type: ignore[arg-type]
    final = training.run().final
    splits = [training.data.holdout([slot]) for slot in range(6)]
    each = [float(correct_items(training.replica.module, s.x, s.y).float().mean()) for s in splits]
    assert final.worst_decile_accuracy == pytest.approx(min(each))


def test_without_hold_outs_there_is_none() -> None:
    fields = {"clients": 6, "rounds": 2, "pivot": 1, "warmup_cohort": 2, "holdout_share": 0.0}
    config = train_config(**fields, high_share=0.5)  # type: ignore[arg-type]
    assert Training(config, load_dataset("digits")).run().final.worst_decile_accuracy is None
