"""MeZO as a federated step is ZOWarmUp's phase two, and ZO-SGD where there is one client."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from parabola import Parabola, config, start

from zo_core.algorithms import build_algorithm
from zo_core.federation import Replica
from zo_core.optimizer import apply_updates_
from zo_core.payloads.core import RoundResult

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def test_it_has_no_warm_up_and_takes_its_cohorts_from_everyone() -> None:
    (phase,) = build_algorithm(config("mezo", pivot=7), (0, 2, 3)).phases
    assert (phase.rounds, phase.pool, phase.cohort_size) == (30, (0, 1, 2, 3, 4, 5), 4)
    (phase,) = build_algorithm(config("mezo", zo_cohort=None), (0, 2, 3)).phases
    assert phase.cohort_size == 6


@pytest.mark.parametrize("changes", [{}, {"average": "sum", "zo_server_lr": 0.01}])
def test_its_rounds_are_zowarmups_after_a_pivot_at_zero(changes: dict[str, Any]) -> None:
    mezo, zowarmup = start("mezo", **changes), start("zowarmup", pivot=0, **changes)
    for one, other in zip(mezo.rounds(), zowarmup.rounds(), strict=True):
        assert one.result == other.result
    assert mezo.replica.digest() == zowarmup.replica.digest()


def test_a_single_client_is_a_low_resource_one_that_nobody_follows() -> None:
    run = start("mezo-single", high=(0, 1, 3), rounds=3)
    for record in run.rounds():
        assert record.cohort == (2,)
        assert record.receivers == 1
        assert record.down_payload_bytes == record.result.num_bytes
    assert run.snapshot is not None  # it is on the grid


def test_one_round_of_one_client_is_a_step_of_mezo() -> None:
    """w - lr / S sum_s (L(w + rho z_s) - L(w - rho z_s)) / (2 rho) z_s, from the messages alone."""
    run, other = start("mezo", zo_cohort=1, tau=1.0, zo_server_lr=0.05), Replica(Parabola())
    other.snap_()
    record = next(run.rounds())
    assert isinstance(record.result, RoundResult)
    seeds = run.method_at(0).seeds(run.context_of(0), record.cohort[0])  # type: ignore[attr-defined]
    updates = list(zip(seeds, record.result.differences[0].tolist(), strict=True))
    apply_updates_(other.params, updates, 0.05, epsilon=1e-3, grid=other.grid)
    assert np.array_equal(other.values(), run.replica.values())
