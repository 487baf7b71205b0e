"""FedKSeed: local steps and their pool agree, everyone rebuilds the same bits, bytes are fewest."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from parabola import DIM, Parabola, config, half_square, start

from zo_core import rademacher
from zo_core.algorithms.baselines.fedkseed import FedKSeed
from zo_core.algorithms.steps.local import LocalSteps, step_items
from zo_core.federation import ForkError, Replica
from zo_core.fixed_point import fixed_point
from zo_core.method import ClientData, RoundContext
from zo_core.optimizer import list_pass
from zo_core.payloads.core import Payload, PayloadError, SeedPool, Snapshot
from zo_core.weight_grid import GridError

pytestmark = pytest.mark.usefixtures("one_torch_thread")

CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1), samples=(4, 4))


def fedkseed(**changes: Any) -> FedKSeed:
    fields: dict[str, Any] = {"candidates": 8, "directions": 2, "local_steps": 5, "lr": 2.0**-5}
    fields |= {"epsilon": 2.0**-10, "tau": 1.0, "criterion": half_square}
    return FedKSeed(**{**fields, **changes})


def on_grid() -> Replica:
    replica = Replica(Parabola())
    replica.load_(np.linspace(-0.9, 0.8, DIM).astype(np.float32))
    replica.snap_()
    return replica


def data(slot: int) -> ClientData:
    x = np.random.default_rng(slot).normal(0.5, 0.1, (10, DIM)).astype(np.float32)
    return ClientData(slot=slot, x=torch.from_numpy(x), y=torch.zeros(10))


def slow_local_steps(method: FedKSeed, theta: np.ndarray, client: ClientData) -> np.ndarray:
    """w - lr mean_s (z_s . grad) z_s step after step in float64, since half a square is exact."""
    chosen = method.choices(on_grid(), CONTEXT, client.slot)
    parts = step_items(10, method.local_steps, run_seed=1, round_index=4, client_id=client.slot)
    seeds = method.candidate_seeds(CONTEXT)
    for indices, items in zip(chosen, parts, strict=True):
        gradient = theta - client.x.numpy()[items].astype(np.float64).mean(axis=0)
        directions = [rademacher(seeds[i], 0, DIM).astype(np.float64) for i in indices]
        theta = theta - method.lr * np.mean([(z @ gradient) * z for z in directions], axis=0)
    return theta


@pytest.mark.parametrize("steps", [1, 3, 5, 12])
def test_the_pools_replay_is_where_the_local_steps_ended(steps: int) -> None:
    """GIVEN one client, THEN w0 and its pool give its local weights, up to their rounding."""
    method, replica = fedkseed(local_steps=steps), on_grid()
    expected = slow_local_steps(method, replica.values().astype(np.float64), data(0))
    moved = float(np.abs(expected - replica.values()).max())
    method.server_result(replica, [method.client_update(replica, data(0), CONTEXT)], CONTEXT)
    assert moved > 0.01
    assert np.abs(replica.values() - expected).max() < 2e-4 * moved


def test_the_pool_is_the_sample_weighted_mean_and_outlives_the_round() -> None:
    method, replica = fedkseed(), on_grid()
    one = method.client_update(replica, data(0), CONTEXT)
    other = method.client_update(replica, data(1), CONTEXT)
    assert isinstance(one, SeedPool)
    assert isinstance(other, SeedPool)
    result, _ = method.server_result(replica, [one, replace(other, samples=30)], CONTEXT)
    assert isinstance(result, SeedPool)
    mean = (10.0 * one.scalars.astype(np.float64) + 30.0 * other.scalars) / 40.0
    assert np.array_equal(result.scalars, mean.astype(np.float32))
    later = replace(CONTEXT, round_index=5)
    third = method.client_update(replica, data(0), later)
    assert isinstance(third, SeedPool)
    after, _ = method.server_result(replica, [third], later)
    assert isinstance(after, SeedPool)
    total = result.scalars + third.scalars.astype(np.float64)
    assert np.array_equal(after.scalars, total.astype(np.float32))


def test_the_weights_are_one_replay_from_w0_whatever_the_rounds_before() -> None:
    """GIVEN w0 and the last pool alone, THEN the weights of the run."""
    run, fresh = start("fedkseed", rounds=8), Replica(Parabola())
    *_, last = run.rounds()
    assert run.snapshot is not None
    fresh.restore_(run.snapshot)
    fresh.grid = run.replica.grid.copy()  # type: ignore[union-attr]
    run.method_at(7).apply_(fresh, last.result, run.context_of(7))
    assert fresh.digest() == run.replica.digest()


def test_who_takes_over_a_later_snapshot_goes_on_with_the_same_pool() -> None:
    run, late = start("zowarmup-fedkseed", rounds=16, local_steps=2), Replica(Parabola())
    sent: Payload | None = None
    for record in run.rounds():
        if sent is not None:
            method = run.method_at(record.round_index)
            method.apply_(late, record.result, run.context_of(record.round_index))
            assert late.digest() == run.replica.digest()
        if record.round_index == 9:
            body = run.replica.snapshot(run_id=1, round_index=10).encode()
            sent = Payload.decode(body)
            assert isinstance(sent, Snapshot)
            assert sent.state.size == 1024 + DIM
            late.restore_(sent)


def test_torchs_operations_rebuild_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    run = start("zowarmup-fedkseed", rounds=8)
    for _ in run.rounds():
        pass
    for module in ("algorithms.baselines.seed_pool", "replica"):
        monkeypatch.setattr(f"zo_core.{module}.as_numpy_if_possible", lambda array: array)
    other = start("zowarmup-fedkseed", rounds=8)
    for _ in other.rounds():
        pass
    assert isinstance(other.replica.shared_state.origin, torch.Tensor)
    assert other.replica.digest() == run.replica.digest()


@pytest.mark.parametrize("first", [True, False])
def test_a_pool_that_leaves_the_grid_changes_nothing(first: bool) -> None:
    method, replica = fedkseed(), on_grid()
    if not first:
        method.server_result(replica, [method.client_update(replica, data(0), CONTEXT)], CONTEXT)
    before, weights = replica.digest(), replica.values()
    update = method.client_update(replica, data(0), CONTEXT)
    assert isinstance(update, SeedPool)
    with pytest.raises(GridError, match="would reach"):
        method.server_result(replica, [replace(update, scalars=update.scalars * 1e6)], CONTEXT)
    assert replica.values().tobytes() == weights.tobytes()
    assert replica.digest() == before


def test_a_round_without_updates_or_with_no_slope_changes_nothing() -> None:
    method, replica, other = fedkseed(), on_grid(), on_grid()
    before = replica.digest()
    result, _ = method.server_result(replica, [], CONTEXT)
    method.apply_(other, Payload.decode(result.encode()), CONTEXT)
    assert replica.digest() == other.digest() == before


def test_an_update_on_other_weights_or_of_another_size_is_refused() -> None:
    method, server, forked = fedkseed(), on_grid(), on_grid()
    forked.params.arrays[0][0] += 0.25
    forked.invalidate_digest()
    update = method.client_update(forked, data(1), CONTEXT)
    with pytest.raises(ForkError, match="slot 1 computed on"):
        method.server_result(server, [update], CONTEXT)
    short = replace(update, scalars=np.ones(7, np.float32))
    with pytest.raises(ValueError, match="hold 8 scalars, got slot 1 with 7"):
        method.server_result(server, [short], CONTEXT)


def test_candidates_are_the_runs_and_choices_each_rounds_and_clients() -> None:
    method, later = fedkseed(candidates=1000), replace(CONTEXT, round_index=5)
    seeds = method.candidate_seeds(CONTEXT)
    assert method.candidate_seeds(later) is seeds  # derived once
    assert len(set(seeds)) == 1000
    assert method.candidate_seeds(replace(CONTEXT, run_seed=2))[0] != seeds[0]
    drawn = [
        method.choices(on_grid(), context, slot) for context in (CONTEXT, later) for slot in (0, 1)
    ]
    assert len({tuple(chosen.reshape(-1).tolist()) for chosen in drawn}) == 4
    many = fedkseed(local_steps=5000).choices(on_grid(), CONTEXT, 0)
    assert set(many.reshape(-1).tolist()) == set(range(8))
    assert np.abs(np.bincount(many.reshape(-1)) - 1250).max() < 5 * math.sqrt(1250)


# --- local steps ---------------------------------------------------------------------------------


def step_and_fail(replica: Replica, c: float, rho: float) -> None:
    with LocalSteps(replica.params, replica.grid) as local:  # type: ignore[arg-type]
        local.take_(fixed_point([1], [c]), rho)
        raise ZeroDivisionError


def test_local_steps_are_taken_back_to_the_bit_also_when_the_loss_raises() -> None:
    replica = on_grid()
    before = replica.values().tobytes()
    update = fixed_point([1, 2], [0.011, -0.007])
    with LocalSteps(replica.params, replica.grid) as local:  # type: ignore[arg-type]
        for _ in range(5):
            local.take_(update, 2.0**-10)
        assert replica.values().tobytes() != before
    assert replica.values().tobytes() == before
    with pytest.raises(ZeroDivisionError):
        step_and_fail(replica, 0.011, 2.0**-10)
    assert replica.values().tobytes() == before


def test_local_steps_stop_where_a_perturbation_would_leave_the_grid() -> None:
    """|k| <= 2^24 may be reached, not passed by rho: 0.9 + 1.09375 < 2 < 0.9 + 1.09375 + rho."""
    replica = Replica([np.full(4, 0.9, np.float32)])
    replica.snap_()
    before = replica.values().tobytes()
    sign = rademacher(1, 0, 1)[0]
    with pytest.raises(GridError, match="grown to the end"):
        step_and_fail(replica, 1.09375 * float(sign), 2.0**-6)
    assert replica.values().tobytes() == before


@pytest.mark.parametrize(("items", "steps"), [(900, 4), (900, 6), (25, 4), (7, 7), (3, 8), (1, 2)])
def test_items_are_divided_equally_among_steps(items: int, steps: int) -> None:
    parts = step_items(items, steps, run_seed=1, round_index=2, client_id=3)
    sizes = [len(part) for part in parts]
    assert len(parts) == steps
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert set(np.concatenate(parts).tolist()) == set(range(items))
    if steps <= items:
        assert sum(sizes) == items


def test_one_step_takes_all_items_in_order() -> None:
    (part,) = step_items(5, 1, run_seed=1, round_index=2, client_id=3)
    assert part.tolist() == [0, 1, 2, 3, 4]


# --- bytes ---------------------------------------------------------------------------------------


def pool(scalars: list[float]) -> SeedPool:
    return SeedPool(
        run_id=1,
        round_index=2,
        slot=3,
        samples=4,
        digest=b"12345678",
        scalars=np.array(scalars, np.float32),
    )


@pytest.mark.parametrize(
    ("scalars", "tail"),
    [
        ([0.0] * 9, 0),
        ([0.0, 2.0, 0.0, 3.0, 0.0, 0.0], 12),  # two pairs of 6 bytes
        ([1.0, 2.0, 0.0], 12),  # two pairs would be as long: the whole list
        ([1.0, 2.0, 3.0], 12),
        ([], 0),
    ],
)
def test_a_pool_is_sent_in_the_fewer_bytes(scalars: list[float], tail: int) -> None:
    body = pool(scalars).encode()
    assert len(body) == pool(scalars).num_bytes == 4 + 36 + tail
    assert Payload.decode(body) == pool(scalars)


def test_pairs_out_of_order_beyond_the_pool_or_of_zero_are_refused() -> None:
    good = pool([0.0, 2.0, 0.0, 3.0, 0.0, 0.0]).encode()
    for at, word in ((40, 3), (42, 1), (42, 6)):
        bad = bytearray(good)
        bad[at] = word
        with pytest.raises(PayloadError, match="ascending positions"):
            Payload.decode(bytes(bad))
    with pytest.raises(PayloadError, match="have no 0"):
        Payload.decode(good[:44] + bytes(4) + good[48:])
    with pytest.raises(PayloadError, match="at most 2\\^16 candidates"):
        Payload.decode(good[:32] + b"\x00\x00\x02\x00" + good[36:])


def test_it_needs_the_grid() -> None:
    for name in ("fedkseed", "zowarmup-fedkseed"):
        with pytest.raises(ValueError, match=f"grid must be left out for {name}.*got False"):
            config(name, grid=False)


def test_a_replay_without_widening_is_the_exact_inverse_of_its_negation() -> None:
    replica = on_grid()
    before = replica.values().tobytes()
    update = fixed_point(list(range(7)), np.linspace(-0.1, 0.13, 7).tolist())
    list_pass(replica.params, update, replica.grid, widen=False)()
    list_pass(replica.params, update.negated(), replica.grid, widen=False)()
    assert replica.values().tobytes() == before
