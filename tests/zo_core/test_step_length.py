"""A step length that follows the loss: its rule by hand, its state, and the steps of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parabola import client, start

from zo_core.algorithms import train_config
from zo_core.algorithms.steps.step_length import StepLength, mean_of, noted
from zo_core.data import load_dataset
from zo_core.federation.simulation.run_checkpoint import resume_, save
from zo_core.federation.simulation.training import Training
from zo_core.payloads.core import RoundResult, ScalarUpdate

pytestmark = pytest.mark.usefixtures("one_torch_thread")
ADAPTIVE: dict[str, Any] = {"zo_step_length": "adaptive", "zo_cohort": None, "splits": 2}


def factors(rounds: Sequence[Mapping[int, float]]) -> list[float]:
    length, found = StepLength(), []
    for losses in rounds:
        length = length.after(losses)
        found.append(length.factor)
    return found


def test_it_doubles_until_the_loss_rises_and_then_grows_by_a_tenth() -> None:
    losses = [4.0, 3.0, 3.0, 3.5, 3.25, 3.75, 3.5]
    tenth = float(np.float32(2 * 1.1))
    last = float(np.float32(tenth / 2 * 1.1))
    expected = [1.0, 2.0, 4.0, 2.0, tenth, tenth / 2, last]
    assert factors([{0: loss} for loss in losses]) == expected


def test_only_clients_of_both_rounds_are_compared() -> None:
    """The mean rises from 1 to 3 by who takes part, but the one client of both rounds falls."""
    assert factors([{0: 1.0, 1: 1.0}, {1: 0.5, 2: 5.5}]) == [1.0, 2.0]
    assert factors([{0: 1.0}, {1: 5.0}, {1: 6.0}]) == [1.0, 1.0, 0.5]


def test_clients_count_by_their_mean() -> None:
    assert factors([{0: 1.0, 1: 1.0}, {0: 1.5, 1: 0.25}, {0: 1.75, 1: 0.125}]) == [1.0, 2.0, 1.0]


def test_it_stays_within_what_float32_holds() -> None:
    for step in (-1.0, 1.0):
        factor = factors([{0: step * r} for r in range(200)])[-1]
        assert factor == 2.0 ** (40 if step < 0 else -40)


@pytest.mark.parametrize("rounds", range(4))
def test_a_state_comes_back_as_it_was(rounds: int) -> None:
    length = StepLength()
    for losses in ({0: 1.0, 2: 0.0}, {0: 2.0, 2: 0.5}, {3: -1.0})[:rounds]:
        length = length.after(losses)
    packed = length.packed(4)
    assert packed.size == StepLength.size(4)
    assert StepLength.unpacked(packed) == length


def test_zeros_are_the_start() -> None:
    assert StepLength.unpacked(np.zeros(StepLength.size(3), np.float32)) == StepLength()


def test_the_mean_loss_of_the_forwards_is_that_of_the_rounds_weights() -> None:
    """On a parabola they are L(w) + 6 rho^2 on average, for clients whose parts are equal."""
    run = start("zowarmup-split", **ADAPTIVE)
    run.replica.snap_()
    for slot in (2, 3, 4, 5):
        update = run.method_at(2).client_update(run.replica, client(slot), run.context_of(2))
        assert isinstance(update, ScalarUpdate)
        loss = float(0.5 * client(slot).x.double().square().sum(dim=1).mean())
        assert update.loss == pytest.approx(loss, rel=1e-5)


def test_losses_are_noted_in_the_order_of_their_forwards() -> None:
    seen: list[float] = []
    values = iter((1.0, 2.0, 4.5))
    loss = noted(lambda: next(values), seen)
    assert [loss(), loss(), loss()] == seen == [1.0, 2.0, 4.5]
    assert mean_of(seen) == 2.5


def test_the_rate_of_a_round_is_the_constant_one_times_the_factor() -> None:
    """Steps of the first round are equal; the second's is twice as long where the loss fell."""
    plain = start("zowarmup-split", rounds=4, zo_cohort=None, splits=2)
    ours = start("zowarmup-split", rounds=4, **ADAPTIVE)
    results: list[RoundResult] = []
    moved: list[np.ndarray[Any, Any]] = []
    for run in (plain, ours):
        before = run.replica.values()
        for record in run.rounds():
            if record.round_index >= 2:
                moved.append(run.replica.values().astype(np.float64) - before)
                results.append(record.result)  # type: ignore[arg-type]
            before = run.replica.values()
    first, second, our_first, our_second = moved
    assert our_first.tolist() == first.tolist()
    assert [result.differences.tolist() for result in results[:2]] == [
        result.differences.tolist() for result in results[2:]
    ]
    assert results[3].losses.mean() < results[2].losses.mean()
    assert np.allclose(our_second, 2 * second, rtol=0, atol=1e-6)
    assert not results[1].losses.size


@pytest.mark.parametrize("rate", [1e-4, 1e-2])
def test_a_run_from_a_rate_far_too_low_ends_far_lower_than_with_that_rate(rate: float) -> None:
    runs = [start("zowarmup-split", zo_server_lr=rate, **(ADAPTIVE | f)) for f in ({}, CONSTANT)]
    for run in runs:
        list(run.rounds())
    adaptive, constant = (run.loss() for run in runs)
    assert adaptive < 0.2 * constant


CONSTANT: dict[str, Any] = {"zo_step_length": "constant"}
SMALL: dict[str, Any] = {"clients": 6, "rounds": 8, "pivot": 4, "warmup_cohort": 2}
SMALL |= {"high_share": 0.5, "local_epochs": 1, "eval_every": 8, "run_seed": 3, "splits": 3}
SMALL |= {"zo_step_length": "adaptive", "tail": 3, "zo_server_lr": 0.05}


@pytest.mark.parametrize("rounds", [5, 7])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, rounds: int) -> None:
    """The factor and the losses are in the checkpoint, and each round's factor in the tail."""
    make = partial(Training, train_config("zowarmup-split", **SMALL), load_dataset("digits"))
    first, again, whole = make(), make(), make()
    first.run(save=partial(save, first, tmp_path), stop=lambda: first.record.rounds_done == rounds)
    assert resume_(again, tmp_path)
    assert again.run().digest == whole.run().digest
