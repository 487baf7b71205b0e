"""Several local steps a round in ZOWarmUp: walks against a slow reference, one digest for all."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from parabola import DIM, Parabola, config, half_square, start

from zo_core import derive_seed, loss_differences, rademacher
from zo_core.algorithms import taken_by
from zo_core.algorithms.steps.local import step_items
from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
from zo_core.federation import Replica
from zo_core.method import ClientData, RoundContext
from zo_core.payloads.core import Payload, RoundResult, ScalarUpdate
from zo_core.spsa import NonFiniteLossError

pytestmark = pytest.mark.usefixtures("one_torch_thread")

CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1), samples=(10, 30))


def method(**changes: Any) -> ZerothOrderStep:
    fields: dict[str, Any] = {"directions": 2, "local_steps": 4, "lr": 2.0**-5, "tau": 1.0}
    return ZerothOrderStep(**{**fields, "epsilon": 2.0**-10, "criterion": half_square, **changes})


def on_grid() -> Replica:
    replica = Replica(Parabola())
    replica.load_(np.linspace(-0.9, 0.8, DIM).astype(np.float32))
    replica.snap_()
    return replica


def data(slot: int) -> ClientData:
    x = np.random.default_rng(slot).normal(0.5, 0.1, (10, DIM)).astype(np.float32)
    return ClientData(slot=slot, x=torch.from_numpy(x), y=torch.zeros(10))


def slow_walk(
    step: ZerothOrderStep, theta: npt.NDArray[np.float64], client: ClientData
) -> npt.NDArray[np.float64]:
    """Where a client's walk ends in float64: half a square has exact central differences."""
    parts = step_items(10, step.local_steps, run_seed=1, round_index=4, client_id=client.slot)
    for number, items in enumerate(parts):
        gradient = theta - client.x.numpy()[items].astype(np.float64).mean(axis=0)
        change = np.zeros(DIM)
        for s in range(step.directions):
            direction = number * step.directions + s
            seed = derive_seed(1, round_index=4, client_id=client.slot, direction=direction)
            z = rademacher(seed, 0, DIM).astype(np.float64)
            change += (z @ gradient) * z
        scale = 1.0 if step.average == "sum" else 1.0 / step.directions
        theta = theta - step.lr * step.tau**2 * scale * change
    return theta


@pytest.mark.parametrize("steps", [1, 2, 4, 6, 13])  # 13: more steps than items
@pytest.mark.parametrize("changes", [{}, {"average": "sum", "lr": 2.0**-6}, {"tau": 0.5}])
def test_one_clients_round_ends_where_its_walk_ends(steps: int, changes: dict[str, Any]) -> None:
    step, replica = method(local_steps=steps, **changes), on_grid()
    before = replica.values().astype(np.float64)
    update = step.client_update(replica, data(0), CONTEXT)
    assert isinstance(update, ScalarUpdate)
    assert update.differences.size == 2 * steps
    step.server_result(replica, [update], CONTEXT)
    expected = slow_walk(step, before, data(0))
    moved = float(np.abs(expected - before).max())
    assert moved > 0.005
    assert np.abs(replica.values() - expected).max() < 2e-3 * moved


@pytest.mark.parametrize("weighted", [False, True])
def test_everyone_moves_to_the_mean_of_where_the_walks_end(weighted: bool) -> None:
    step, replica = method(weighted=weighted), on_grid()
    before = replica.values().astype(np.float64)
    updates = [step.client_update(replica, data(slot), CONTEXT) for slot in (0, 1)]
    step.server_result(replica, updates, CONTEXT)
    ends = [slow_walk(step, before, data(slot)) for slot in (0, 1)]
    share = 0.25 if weighted else 0.5  # of 10 and 30 samples
    expected = share * ends[0] + (1.0 - share) * ends[1]
    assert np.abs(replica.values() - expected).max() < 1e-3 * np.abs(expected - before).max()


def test_one_step_is_the_plain_differences_over_the_whole_shard() -> None:
    step, replica, client = method(local_steps=1), on_grid(), data(1)
    seeds = [derive_seed(1, round_index=4, client_id=1, direction=s) for s in range(2)]
    loss = partial(replica.mean_loss, client.x, client.y, criterion=half_square)
    expected = loss_differences(
        loss, replica.params, seeds, epsilon=2.0**-10, tau=1.0, grid=replica.grid
    )
    update = step.client_update(replica, client, CONTEXT)
    assert isinstance(update, ScalarUpdate)
    assert update.differences.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["zowarmup", "mezo", "zowarmup-fedadam", "zowarmup-hi-lo"])
def test_all_replicas_hold_one_digest_and_a_client_leaves_no_trace(name: str) -> None:
    lrs = taken_by(name, {"zo_client_lr": 0.02, "zo_server_lr": 1.0})
    run, other = start(name, rounds=8, local_steps=3, **lrs), Replica(Parabola())
    for record in run.rounds():
        if run.snapshot is not None and run.snapshot.round_index == record.round_index:
            other.restore_(run.snapshot)
        active, context = run.method_at(record.round_index), run.context_of(record.round_index)
        active.apply_(other, Payload.decode(record.result.encode()), context)
        assert other.digest() == run.replica.digest()
        active.client_update(other, data(context.cohort[0]), context)
        other.invalidate_digest()
        assert other.digest() == run.replica.digest()
    last = record.result
    if isinstance(last, RoundResult):
        assert last.differences.shape == (4, 9)  # participants, S T


def test_a_loss_that_fails_midway_leaves_the_weights_to_the_bit() -> None:
    replica, calls = on_grid(), 0
    before = replica.values().tobytes()

    def fails_later(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return half_square(outputs, y) * (float("nan") if calls > 9 else 1.0)

    with pytest.raises(NonFiniteLossError):
        method(criterion=fails_later).client_update(replica, data(0), CONTEXT)
    assert replica.values().tobytes() == before


def test_an_update_of_another_number_of_steps_is_refused() -> None:
    replica = on_grid()
    update = method(local_steps=2).client_update(replica, data(0), CONTEXT)
    with pytest.raises(ValueError, match="hold 8 scalars, got slot 0 with 4"):
        method().server_result(replica, [update], CONTEXT)


@pytest.mark.parametrize("name", ["zowarmup", "mezo"])
def test_plain_mode_has_one_step_alone(name: str) -> None:
    with pytest.raises(ValueError, match="grid must be True for local_steps > 1, got False"):
        config(name, grid=False, local_steps=2)
