"""Hi + lo: both steps by hand, mixed on the grid, with the same bits for everyone."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from parabola import DIM, Parabola, config, half_square, start

from zo_core import rademacher
from zo_core.algorithms.methods.fedavg import FedAvg
from zo_core.algorithms.methods.hi_lo import HiLoStep
from zo_core.algorithms.steps.grid_increment import Increment, IncrementPass, to_increment
from zo_core.federation import Replica
from zo_core.kernels.resumable_pass import uninterrupted
from zo_core.method import ClientData, RoundContext
from zo_core.parameters import Parameters, parameters
from zo_core.payloads.core import DenseWeights, MixedResult, Payload, PayloadError, ScalarUpdate
from zo_core.weight_grid import Grid, GridError, snap_

pytestmark = pytest.mark.usefixtures("one_torch_thread")

CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1, 2), samples=(1, 3, 2))
THETA = [0.5, -0.25, 0.125, 0.75] + [0.0] * (DIM - 4)


def hi_lo(high: tuple[int, ...] = (0,), **changes: Any) -> HiLoStep:
    fields: dict[str, Any] = {"directions": 1, "epsilon": 2.0**-10, "tau": 1.0, "lr": 0.25}
    first = FedAvg(client_lr=0.5, server_lr=1.0, local_epochs=1, batch_size=100)
    fields |= {"high": high, "first_order": first, "zo_share": None, "criterion": half_square}
    return HiLoStep(**{**fields, **changes})


def on_grid() -> Replica:
    replica = Replica(Parabola())
    replica.load_(np.array(THETA, np.float32))
    replica.snap_()
    return replica


def at_zero(slot: int) -> ClientData:
    n = CONTEXT.samples[slot]
    return ClientData(slot=slot, x=torch.zeros(n, DIM), y=torch.zeros(n))


def add_increment_(params: Parameters, increment: Increment, grid: Grid) -> tuple[str, ...]:
    """Run the pass, or raise what it refuses."""
    added = IncrementPass(params, increment, grid)
    if error := added.error():
        raise error
    return uninterrupted(added)


@pytest.mark.parametrize(
    ("changes", "gamma", "omegas"),
    [
        ({"zo_share": 0.5}, 0.5, (0.5, 0.5)),
        ({"zo_share": 0.25}, 0.25, (0.5, 0.5)),
        ({"zo_share": 0.5, "average": "sum"}, 0.5, (1.0, 1.0)),
    ],
)
def test_a_mixed_step_by_hand(
    changes: dict[str, Any], gamma: float, omegas: tuple[float, float]
) -> None:
    """Slot 0 halves theta by SGD; slots 1 and 2 step along z: short binary fractions all."""
    method, replica, other = hi_lo(**changes), on_grid(), on_grid()
    theta = replica.values().astype(np.float64)
    updates = [method.client_update(replica, at_zero(slot), CONTEXT) for slot in (0, 1, 2)]
    assert [type(update) for update in updates] == [DenseWeights, ScalarUpdate, ScalarUpdate]
    expected = theta - (1.0 - gamma) * 0.5 * theta
    for slot, omega in zip((1, 2), omegas, strict=True):
        z = rademacher(method.seeds(CONTEXT, slot)[0], 0, DIM).astype(np.float64)
        expected -= gamma * 0.25 * omega * float(z @ theta) * z
    result, _ = method.server_result(replica, updates, CONTEXT)
    assert replica.values().tolist() == expected.tolist()
    method.apply_(other, Payload.decode(result.encode()), CONTEXT)
    assert other.digest() == replica.digest()


def test_gamma_is_the_zo_clients_share_of_those_who_took_part() -> None:
    method = hi_lo()
    present = np.array([True, True, True])
    assert method._gamma(CONTEXT, present) == 2 / 3
    assert method._gamma(CONTEXT, np.array([True, True, False])) == 1 / 2
    for share in (None, 0.3):  # where one group alone took part, its step counts in full
        alone = hi_lo(zo_share=share)
        assert alone._gamma(CONTEXT, np.array([True, False, False])) == 0.0
        assert alone._gamma(CONTEXT, np.array([False, True, True])) == 1.0


def test_one_group_alone_takes_its_own_methods_step() -> None:
    method = hi_lo(high=(0, 1, 2), zo_share=0.3)
    replica, fedavg = on_grid(), on_grid()
    updates = [method.client_update(replica, at_zero(slot), CONTEXT) for slot in (0, 1, 2)]
    method.server_result(replica, updates, CONTEXT)
    method.first_order.server_result(fedavg, updates, CONTEXT)
    assert replica.values().tolist() == fedavg.values().tolist()
    none = hi_lo(high=(), zo_share=0.3)
    replica = on_grid()
    updates = [none.client_update(replica, at_zero(slot), CONTEXT) for slot in (0, 1, 2)]
    result, _ = none.server_result(replica, updates, CONTEXT)
    assert isinstance(result, MixedResult)
    assert result.increment.size == 0
    assert replica.values().tolist() != THETA


def test_an_empty_round_changes_nothing() -> None:
    method, replica = hi_lo(), on_grid()
    before = replica.digest()
    result, _ = method.server_result(replica, [], CONTEXT)
    method.apply_(replica, Payload.decode(result.encode()), CONTEXT)
    assert replica.digest() == before


def test_the_dense_increment_goes_to_everyone() -> None:
    run = start("zowarmup-hi-lo", rounds=6)
    for record in list(run.rounds())[2:]:
        result = record.result
        assert isinstance(result, MixedResult)
        high = sum(slot in (0, 2, 3) for slot in record.cohort)
        assert result.differences.shape == (4 - high, 3)
        assert result.increment.size == (DIM if high else 0)
        assert record.receivers == 6
        assert record.per_client.down_scalars == 4 * (3 * (4 - high) + result.increment.size)
        dense, scalars = (4 + 28 + 4 * DIM, 4 + 26 + 4 * 3)
        assert record.up_payload_bytes == high * dense + (4 - high) * scalars


def test_a_client_that_sends_the_other_groups_message_is_refused() -> None:
    method, other, replica = hi_lo(high=(0,)), hi_lo(high=(1,)), on_grid()
    before = replica.digest()
    for slot, message in ((0, "slot 0 must send weights"), (1, "slot 1 must send scalars")):
        update = other.client_update(replica, at_zero(slot), CONTEXT)
        with pytest.raises(ValueError, match=message):
            method.server_result(replica, [update], CONTEXT)
    assert replica.digest() == before


def test_a_mixed_step_that_leaves_the_grid_changes_nothing() -> None:
    method, replica = hi_lo(), on_grid()
    before = replica.values().tobytes()
    updates = [method.client_update(replica, at_zero(slot), CONTEXT) for slot in (0, 1)]
    assert isinstance(updates[0], DenseWeights)
    for factor in (10.0, 1e9):  # beyond 2^24 in all, beyond 2^24 by itself
        far = replace(updates[0], values=updates[0].values * np.float32(factor))
        with pytest.raises(GridError, match="no weight has changed"):
            method.server_result(replica, [far, updates[1]], CONTEXT)
        assert replica.values().tobytes() == before


# --- increments ----------------------------------------------------------------------------------


def test_an_increment_is_the_change_rounded_to_each_tensors_quantum() -> None:
    weights = [np.full(3, 0.5, np.float32), np.full((2, 2), 100.0, np.float32)]
    numbered, grid = parameters(weights), snap_(weights)
    quanta = np.ldexp(1.0, grid.exponents)
    change = np.concatenate([quanta[0] * np.array([0.5, 1.5, -7.2]), quanta[1] * np.arange(4.0)])
    increment = to_increment(numbered, change, grid)
    assert increment.tolist() == [0, 2, -7, 0, 1, 2, 3]
    assert add_increment_(numbered, increment, grid) == ()
    assert weights[0].tolist() == (0.5 + quanta[0] * np.array([0, 2, -7])).tolist()
    assert weights[1].reshape(-1).tolist() == (100.0 + quanta[1] * np.arange(4)).tolist()


def test_an_increment_widens_what_it_outgrows_on_tensors_of_any_layout() -> None:
    values = np.linspace(0.5, 0.99, 6).astype(np.float32)
    dense, strided = [values.copy().reshape(2, 3)], [torch.zeros(3, 2).T]
    for params in (dense, strided):
        grid = Grid(np.array([-23]))
        increment = to_increment(parameters(params), values.astype(np.float64), grid)
        params[0][...] = 0.0  # type: ignore[index]
        assert add_increment_(parameters(params), increment, grid) == ()
        assert add_increment_(parameters(params), increment, grid) == ("0",)
        assert grid.exponents.tolist() == [-22]
    assert dense[0].tolist() == strided[0].tolist()


def test_torchs_operations_add_the_same_increment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys.modules["zo_core.parameters"], "as_numpy_if_possible", lambda array: array
    )
    tensor = torch.full((2, 3), 0.5)
    numbered, grid = parameters([tensor]), snap_([tensor])
    add_increment_(numbered, np.arange(6, dtype=np.int32), grid)
    quantum = 2.0 ** int(grid.exponents[0])
    assert tensor.reshape(-1).tolist() == (0.5 + quantum * np.arange(6)).tolist()


def test_an_increment_of_another_model_is_refused() -> None:
    weights = [np.zeros(3, np.float32)]
    with pytest.raises(ValueError, match="model's 3 weights, got 4"):
        add_increment_(parameters(weights), np.zeros(4, np.int32), snap_(weights))


def test_more_rows_than_participants_are_refused() -> None:
    result = MixedResult(
        run_id=1,
        round_index=2,
        digest=bytes(8),
        participates=np.array([True, False]),
        differences=np.ones((2, 1), np.float32),
        increment=np.zeros(0, np.int32),
    )
    with pytest.raises(PayloadError, match="2 clients sent scalars, but 1 took part"):
        Payload.decode(result.encode())


def test_it_needs_the_grid() -> None:
    with pytest.raises(ValueError, match=r"grid must be left out for zowarmup-hi-lo.*got False"):
        config("zowarmup-hi-lo", grid=False)
