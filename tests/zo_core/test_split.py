"""zowarmup-split: its step by hand, its rate, its second moment, its average, a resumed run."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parabola import DIM, Parabola, config, half_square, start
from torch.nn import functional

from zo_core import derive_seed, rademacher
from zo_core.algorithms import build_algorithm, train_config
from zo_core.algorithms.methods.zowarmup_split import SplitStep
from zo_core.algorithms.steps.local import step_items
from zo_core.algorithms.steps.rate_schedule import RateSchedule
from zo_core.algorithms.steps.second_moment import DELTA, clipped, divisor, moment_after
from zo_core.data import load_dataset
from zo_core.federation import Replica
from zo_core.federation.simulation.run_checkpoint import resume_, save
from zo_core.federation.simulation.training import Training
from zo_core.loss.balanced import balanced_softmax
from zo_core.loss.passes import counting_passes
from zo_core.method import ClientData, RoundContext
from zo_core.payloads.core import Payload, RoundResult, ScalarUpdate

pytestmark = pytest.mark.usefixtures("one_torch_thread")
RHO = 2.0**-10
TWO = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 2), samples=(4, 4))
THETA = [0.5, -0.25, 0.125, 0.75]


def step(**options: Any) -> SplitStep:
    """Rounds 4, 5 and 6 of a phase of three, S = 1, rho = 2^-10, tau = 1."""
    fields: dict[str, Any] = {"rounds": 7, "pivot": 4, "zo_cohort": 2, "directions": 1}
    fields |= {"epsilon": RHO, "tau": 1.0, "zo_server_lr": 0.25, "splits": 2, **options}
    method = build_algorithm(config("zowarmup-split", **fields), (0, 2, 3)).phases[1].method
    assert isinstance(method, SplitStep)
    return replace(method, criterion=half_square)


def on_grid() -> Replica:
    replica = Replica(Parabola())
    replica.load_(np.array(THETA + [0.0] * (DIM - len(THETA)), np.float32))
    replica.snap_()
    return replica


def items(slot: int) -> ClientData:
    """Four items along the first coordinates: x_i = (i + slot) / 8 in coordinate i."""
    x = torch.zeros(4, DIM)
    for i in range(4):
        x[i, i] = (i + slot) / 8
    return ClientData(slot=slot, x=x, y=torch.zeros(4))


def z_of(slot: int, direction: int, round_index: int = 4) -> np.ndarray:
    seed = derive_seed(1, round_index=round_index, client_id=slot, direction=direction)
    return rademacher(seed, 0, DIM).astype(np.float64)


def round_of(method: SplitStep, replica: Replica, context: RoundContext = TWO) -> RoundResult:
    updates = [method.client_update(replica, items(slot), context) for slot in context.cohort]
    result, _ = method.server_result(replica, updates, context)
    assert isinstance(result, RoundResult)
    return result


def test_a_step_by_hand() -> None:
    """GIVEN two parts of two items; then dL = 2 rho z.(theta - mean of the part), by part p and
    direction p S + s, and theta moves by -lr mean (dL / (2 rho)) z over all four.
    """
    method, replica = step(), on_grid()
    theta = replica.values().astype(np.float64)
    expected = theta.copy()
    for slot in TWO.cohort:
        update = method.client_update(replica, items(slot), TWO)
        assert isinstance(update, ScalarUpdate)
        parts = step_items(4, 2, run_seed=1, round_index=4, client_id=slot)
        for p, part in enumerate(parts):
            mean = items(slot).x.numpy()[part].astype(np.float64).mean(axis=0)
            slope = float(z_of(slot, p) @ (theta - mean))
            assert update.differences[p] == 2 * RHO * slope
            expected -= 0.25 / 4 * slope * z_of(slot, p)
    round_of(method, replica)
    assert replica.values().tolist() == expected.tolist()


@pytest.mark.parametrize("directions", [1, 3])
def test_one_part_is_zowarmup_to_the_bit(directions: int) -> None:
    ours = start("zowarmup-split", splits=1, directions=directions)
    theirs = start("zowarmup", directions=directions)
    for a, b in zip(ours.rounds(), theirs.rounds(), strict=True):
        assert a.result.encode() == b.result.encode()
    assert ours.replica.digest() == theirs.replica.digest()


@pytest.mark.parametrize("splits", [1, 2, 4])
def test_the_item_forwards_are_the_same_for_every_k(splits: int) -> None:
    with counting_passes() as passes:
        step(splits=splits, directions=3).client_update(on_grid(), items(0), TWO)
    assert passes.forward_items == 2 * 3 * 4


def test_rates_of_a_phase_by_hand() -> None:
    factors = {
        name: [RateSchedule(name=name, first_round=4, rounds=4).factor(r) for r in range(4, 8)]
        for name in ("constant", "linear", "cosine")
    }
    assert factors["constant"] == [1.0] * 4
    assert factors["linear"] == [1.0, 0.75, 0.5, 0.25]
    cosine = [(1 + math.cos(math.pi * t / 4)) / 2 for t in range(4)]
    assert factors["cosine"] == pytest.approx(cosine, rel=0, abs=2e-16)


@pytest.mark.parametrize("rounds", [1, 7, 300])
def test_a_cosine_is_within_two_ulps_of_the_c_librarys(rounds: int) -> None:
    schedule = RateSchedule(name="cosine", first_round=0, rounds=rounds)
    for r in range(rounds):
        assert schedule.factor(r) == pytest.approx(
            (1 + math.cos(math.pi * r / rounds)) / 2, abs=3e-16
        )


def test_a_linear_rate_halves_the_middle_step() -> None:
    """Round 5 of rounds 4 to 7 has three quarters of the rate, whose step is then 3/4 as long."""
    later = replace(TWO, round_index=5)
    plain, linear = on_grid(), on_grid()
    before = plain.values()
    round_of(step(rounds=8), plain, later)
    round_of(step(rounds=8, zo_schedule="linear"), linear, later)
    moved = plain.values() - before
    assert (linear.values() - before).tolist() == (0.75 * moved).tolist()


def test_clipping_by_hand() -> None:
    """ceil(0.5 * 5) = 3: the third smallest magnitude, 2."""
    scalars = np.array([[1.0, -4.0], [2.0, 3.0], [-0.5, 0.0]], np.float32)[:, :1].repeat(1, 1)
    assert clipped(scalars, 0.5).reshape(-1).tolist() == [1.0, 1.0, -0.5]
    five = np.array([5.0, -4.0, 1.0, 2.0, 0.0], np.float32)
    assert clipped(five, 0.5).tolist() == [2.0, -2.0, 1.0, 2.0, 0.0]
    assert clipped(five, 0.99).tolist() == five.tolist()


def test_the_second_moment_by_hand() -> None:
    """g = dL / (2 rho) = 3, -1 and 1/2 v + 1/2 (9 + 1) / 2 twice: 2.5, 3.75; corrected 5 and 5."""
    scalars = np.array([3.0, -1.0], np.float32)
    first = moment_after(0.0, scalars, rho=0.5, beta=0.5)
    second = moment_after(first, scalars, rho=0.5, beta=0.5)
    assert (first, second) == (2.5, 3.75)
    assert divisor(first, steps=1, beta=0.5) == divisor(second, steps=2, beta=0.5)
    assert divisor(first, steps=1, beta=0.5) == math.sqrt(5.0) + DELTA


def test_the_step_is_divided_by_the_root_of_the_second_moment() -> None:
    method, replica = step(second_moment=0.9), on_grid()
    before = replica.values().astype(np.float64)
    result = round_of(method, replica)
    slopes = result.differences.astype(np.float64) / (2 * RHO)
    rms = math.sqrt(float((slopes**2).mean()))
    directions = [z_of(slot, p) for slot in TWO.cohort for p in (0, 1)]
    step_taken = sum(g * z for g, z in zip(slopes.reshape(-1), directions, strict=True)) / 4
    expected = before - 0.25 * step_taken / rms
    assert np.allclose(replica.values(), expected, rtol=0, atol=2e-6)


def test_a_loss_of_twice_the_size_gives_the_same_step_with_a_second_moment() -> None:
    double = lambda outputs, y: 2 * half_square(outputs, y)  # noqa: E731
    replicas = []
    for criterion in (half_square, double):
        replica = on_grid()
        round_of(replace(step(second_moment=0.9), criterion=criterion), replica)
        replicas.append(replica.values())
    assert np.allclose(*replicas, rtol=0, atol=1e-6)


@pytest.mark.parametrize("tail", [1, 2, 3])
@pytest.mark.parametrize("moment", [None, 0.5])
def test_the_tail_is_the_mean_of_the_models_of_its_rounds(tail: int, moment: float | None) -> None:
    """The mean of w_R, w_R-1 ..., up to one rounding of the grid for each list."""
    plain, averaged = on_grid(), on_grid()
    models = []
    for round_index in (4, 5, 6):
        context = replace(TWO, round_index=round_index)
        round_of(step(second_moment=moment), plain, context)
        models.append(plain.values().astype(np.float64))
        round_of(step(second_moment=moment, tail=tail), averaged, context)
    assert plain.grid is not None
    quantum = 2.0 ** int(plain.grid.exponents[0])
    mean = np.mean(models[-tail:], axis=0)
    assert np.abs(averaged.values() - mean).max() <= tail * quantum
    assert (tail == 1) == np.array_equal(averaged.values(), plain.values())


def test_a_round_without_participants_keeps_its_place_in_the_tail() -> None:
    method, replica, other = step(tail=3), on_grid(), on_grid()
    for round_index, there in ((4, (0, 2)), (5, ()), (6, (2,))):
        context = replace(TWO, round_index=round_index)
        updates = [method.client_update(replica, items(slot), context) for slot in there]
        before = replica.values().astype(np.float64)
        result, _ = method.server_result(replica, updates, context)
        method.apply_(other, Payload.decode(result.encode()), context)
        assert other.digest() == replica.digest()
    # models: w4, w4, w6; so the last third of w6 - w4 remains
    plain, last = step(), on_grid()
    updates = [step().client_update(on_grid(), items(slot), TWO) for slot in (0, 2)]
    plain.server_result(last, updates, TWO)
    assert last.values().astype(np.float64).tolist() == before.tolist()
    context = replace(TWO, round_index=6)
    plain.server_result(last, [plain.client_update(last, items(2), context)], context)
    mean = before + (last.values() - before) / 3
    assert np.abs(replica.values() - mean).max() <= 2.0**-22


def test_balanced_softmax_by_hand() -> None:
    """Labels 0, 0, 1 of three classes: priors 3/6, 2/6, 1/6."""
    labels = torch.tensor([0, 0, 1])
    outputs = torch.tensor([[1.0, 2.0, 3.0]])
    prior = torch.tensor([3 / 6, 2 / 6, 1 / 6]).log()
    expected = functional.cross_entropy(outputs + prior, labels[:1])
    assert balanced_softmax(labels)(outputs, labels[:1]).item() == pytest.approx(expected.item())


def test_options_that_do_not_fit_are_errors_that_name_them() -> None:
    with pytest.raises(ValueError, match="tail must be at most 3, the rounds after the pivot"):
        step(tail=4)
    with pytest.raises(ValueError, match=r"splits must be at most 655: .* 2\^16 scalars, got 656"):
        train_config("zowarmup-split", splits=656, directions=100)
    with pytest.raises(ValueError, match="local_steps must be left out for zowarmup-split"):
        train_config("zowarmup-split", local_steps=2)
    with pytest.raises(ValueError, match="at least 27 training items, one for each"):
        Training(train_config("zowarmup-split", splits=27), load_dataset("digits"))


SMALL: dict[str, Any] = {"clients": 6, "rounds": 8, "pivot": 4, "warmup_cohort": 2}
SMALL |= {"zo_cohort": 3, "high_share": 0.5, "local_epochs": 1, "eval_every": 3, "run_seed": 3}
SMALL |= {"splits": 3, "scalars": "sign", "zo_schedule": "linear", "second_moment": 0.9}
SMALL |= {"clip_quantile": 0.9, "tail": 3, "balanced": True}


@cache
def whole() -> str | None:
    return Training(train_config("zowarmup-split", **SMALL), load_dataset("digits")).run().digest


@pytest.mark.parametrize("rounds", [5, 6, 7])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, rounds: int) -> None:
    """Resumed within the tail too: the lists of its first rounds are in the checkpoint."""
    make = partial(Training, train_config("zowarmup-split", **SMALL), load_dataset("digits"))
    first = make()
    first.run(save=partial(save, first, tmp_path), stop=lambda: first.record.rounds_done == rounds)
    again = make()
    assert resume_(again, tmp_path)
    assert again.record.rounds_done == rounds
    assert again.run().digest == whole()
