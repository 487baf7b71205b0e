"""One table of laws for every algorithm, and hand-worked steps of each method."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from parabola import DIM, SAMPLES, Parabola, client, config, half_square, problem, start
from torch import nn

from zo_core import rademacher
from zo_core.algorithms import ALGORITHMS, build_algorithm
from zo_core.algorithms.methods.fedavg import FedAvg
from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
from zo_core.federation import ForkError, Replica
from zo_core.method import ClientData, RoundContext
from zo_core.off_grid_checks import NonFiniteWeightsError
from zo_core.payloads.core import DenseWeights, Payload, RoundResult, ScalarUpdate
from zo_core.weight_grid import Grid

pytestmark = pytest.mark.usefixtures("one_torch_thread")
ROWS = pytest.mark.parametrize("name", ALGORITHMS)
BOTH_PHASES = 6  # rounds, of which two before the pivot


# --- the table of laws ---------------------------------------------------------------------------


@ROWS
def test_it_descends_the_parabola(name: str) -> None:
    run = start(name)
    before = run.loss()
    for _ in run.rounds():
        pass
    floor = start(name)  # the best theta there is: the mean of all items
    items = np.concatenate([client(slot).x.numpy() for slot in range(len(SAMPLES))])
    floor.replica.load_(items.mean(axis=0))
    assert run.loss() - floor.loss() < 0.05 * (before - floor.loss())


@ROWS
def test_a_second_replica_that_applies_the_results_holds_the_same_bits(name: str) -> None:
    run, other = start(name, rounds=BOTH_PHASES), Replica(problem(name))
    for record in run.rounds():
        if run.snapshot is not None and run.snapshot.round_index == record.round_index:
            other.restore_(run.snapshot)
        result = Payload.decode(record.result.encode())
        run.method_at(record.round_index).apply_(other, result, run.context_of(record.round_index))
        assert other.values().tobytes() == run.replica.values().tobytes()
        assert other.digest() == run.replica.digest()
    state, own = other.shared_state, run.replica.client_states.values()
    kept = 0 if state is None else state.num_bytes
    kept += max((each.num_bytes for each in own), default=0)
    assert run.method_at(BOTH_PHASES - 1).client_state_bytes(other) == kept


def test_without_a_grid_a_replica_that_never_perturbs_drifts_from_the_server_but_not_far() -> None:
    """Why there is a grid: the server's own forwards leave other bits behind."""
    run, other = start("zowarmup", grid=False), Replica(Parabola())
    for record in run.rounds():
        method = run.method_at(record.round_index)
        method.apply_(other, record.result, run.context_of(record.round_index))
    assert other.digest() != run.replica.digest()
    assert np.allclose(other.values(), run.replica.values(), rtol=0, atol=1e-5)


@ROWS
def test_every_message_comes_back_from_its_bytes(name: str) -> None:
    run = start(name, rounds=BOTH_PHASES)
    for record in run.rounds():
        messages = [record.result]
        messages += [
            run.method_at(record.round_index).client_update(
                run.replica, client(slot), run.context_of(record.round_index)
            )
            for slot in record.cohort
        ]
        for message in messages:
            body = message.encode()
            assert Payload.decode(body) == message
            assert message.num_bytes == len(body)
            assert message.round_index == record.round_index


@ROWS
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(name: str) -> None:
    bodies = [
        [
            record.result.encode()
            for record in start(name, rounds=BOTH_PHASES, run_seed=seed).rounds()
        ]
        for seed in (1, 1, 2)
    ]
    assert bodies[0] == bodies[1]
    # a run id is in every body; what follows it must differ too
    assert all(a[12:] != b[12:] for a, b in zip(bodies[0], bodies[2], strict=True))


@ROWS
def test_a_clients_update_leaves_the_replica_as_it_was(name: str) -> None:
    run = start(name, rounds=BOTH_PHASES)
    for record in run.rounds():
        method, context = run.method_at(record.round_index), run.context_of(record.round_index)
        before, own = run.replica.digest(), dict(run.replica.client_states)
        one = method.client_update(run.replica, client(record.cohort[0]), context)
        run.replica.invalidate_digest()  # look at the bits, not at a digest that was kept
        assert run.replica.digest() == before
        run.replica.client_states = own  # what a client keeps is its own, and it sends once a round
        assert one == method.client_update(run.replica, client(record.cohort[0]), context)


@ROWS
def test_its_rounds_add_up_and_its_pools_are_its_clients(name: str) -> None:
    algorithm = build_algorithm(config(name), (0, 2, 3))
    rounds = {"heterofl": 45}.get(name, 30)  # as many bytes as 30 rounds of whole networks
    assert algorithm.rounds == rounds
    assert algorithm.phase_at(rounds - 1) is algorithm.phases[-1]
    for beyond in (rounds, 1000):
        with pytest.raises(ValueError, match=rf"round_index must be in \[0, {rounds}\), got"):
            algorithm.phase_at(beyond)
    assert {slot for phase in algorithm.phases for slot in phase.pool} <= set(range(6))


def test_zowarmup_pivots_where_the_config_says_and_warms_up_among_the_capable() -> None:
    algorithm = build_algorithm(config("zowarmup", pivot=7), (0, 2, 3))
    assert [algorithm.phase_at(r).method.name for r in (0, 6, 7, 29)] == [
        *("fedavg", "fedavg"),
        *("zeroth-order", "zeroth-order"),
    ]
    assert algorithm.phase_at(6).pool == (0, 2, 3)
    assert algorithm.phase_at(7).pool == (0, 1, 2, 3, 4, 5)


def test_an_unknown_algorithm_is_an_error_that_lists_the_known() -> None:
    known = "unknown algorithm 'x'; known: fedavg, high-res-only, heterofl, zo"
    with pytest.raises(ValueError, match=known):
        build_algorithm(config("x"), (0,))


# --- FedAvg --------------------------------------------------------------------------------------


def fedavg(**changes: Any) -> FedAvg:
    fields: dict[str, Any] = {"client_lr": 0.5, "server_lr": 1.0, "local_epochs": 1}
    return FedAvg(**{**fields, "batch_size": 100, "criterion": half_square, **changes})


CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1, 2), samples=(1, 1, 2))


def dense(slot: int, samples: int, *values: float) -> DenseWeights:
    return DenseWeights(
        run_id=9,
        round_index=4,
        slot=slot,
        samples=samples,
        values=np.array(values, np.float32),
    )


@pytest.mark.parametrize(
    ("server_lr", "expected"), [(1.0, [3.5, 4.5]), (0.5, [1.75, 2.75]), (2.0, [7.0, 8.0])]
)
def test_fedavg_averages_by_samples_and_steps_by_the_servers_rate(
    server_lr: float, expected: list[float]
) -> None:
    """(1*1 + 1*3 + 2*5) / 4 = 3.5 and (2 + 4 + 12) / 4 = 4.5, from [0, 1]."""
    replica = Replica([np.array([0.0, 1.0], np.float32)])
    updates = [dense(0, 1, 1, 2), dense(1, 1, 3, 4), dense(2, 2, 5, 6)]
    result, _ = fedavg(server_lr=server_lr).server_result(replica, updates, CONTEXT)
    assert isinstance(result, DenseWeights)
    assert result.values.tolist() == replica.values().tolist() == expected


def test_fedavg_folds_in_float64() -> None:
    """2^24 + 1 is no float32: a float32 sum of 1 + 2^24 - 2^24 would lose the 1."""
    replica = Replica([np.zeros(1, np.float32)])
    updates = [dense(0, 1, 1.0), dense(1, 1, 2.0**24), dense(2, 1, -(2.0**24))]
    result, _ = fedavg().server_result(replica, updates, CONTEXT)
    assert isinstance(result, DenseWeights)
    assert result.values.tolist() == [np.float32(1 / 3)]


def test_fedavg_keeps_no_client_model_but_the_one_it_folds() -> None:
    alive: list[Any] = []

    def updates() -> Iterator[Payload]:
        for slot in range(6):
            update = dense(slot, 1, 1.0, 2.0)
            alive.append(weakref.ref(update.values))
            yield update
            del update
            assert sum(ref() is not None for ref in alive) <= 1

    fedavg().server_result(Replica([np.zeros(2, np.float32)]), updates(), CONTEXT)
    assert len(alive) == 6


def test_local_training_by_hand() -> None:
    """theta <- theta - 1/2 (theta - mean x), twice: from 0 with mean 2, 1 and then 1.5."""
    replica = Replica(Parabola())
    data = ClientData(slot=0, x=torch.full((3, DIM), 2.0), y=torch.zeros(3))
    update = fedavg(local_epochs=2).client_update(replica, data, CONTEXT)
    assert isinstance(update, DenseWeights)
    assert update.values.tolist() == [1.5] * DIM
    assert (update.slot, update.samples) == (0, 3)
    assert replica.values().tolist() == [0.0] * DIM


def test_local_training_puts_running_statistics_back_too() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    replica = Replica(module)
    before = [t.clone() for t in module.state_dict().values()]
    data = ClientData(slot=0, x=torch.randn(8, 3), y=torch.zeros(8, dtype=torch.int64))
    method = fedavg(criterion=lambda out, y: nn.functional.cross_entropy(out, y, reduction="none"))
    update = method.client_update(replica, data, CONTEXT)
    assert isinstance(update, DenseWeights)
    assert all(torch.equal(a, b) for a, b in zip(before, module.state_dict().values(), strict=True))
    assert update.values[-1] == 1.0  # the counter of batches, which was 0
    assert (update.values[-9:-5] != 0).all()  # the running mean, which was 0


def test_training_that_ends_in_nan_is_an_error_with_a_way_out_and_leaves_the_replica() -> None:
    replica = Replica(Parabola())
    data = ClientData(slot=5, x=torch.full((3, DIM), 1e30), y=torch.zeros(3))
    with pytest.raises(NonFiniteWeightsError, match=r"client 5's.*lower client_lr"):
        fedavg(client_lr=1e30).client_update(replica, data, CONTEXT)
    assert replica.values().tolist() == [0.0] * DIM


# --- the zeroth-order step -----------------------------------------------------------------------


def zeroth_order(**changes: Any) -> ZerothOrderStep:
    fields: dict[str, Any] = {"directions": 1, "epsilon": 2.0**-10, "tau": 1.0, "lr": 0.25}
    return ZerothOrderStep(**{**fields, "criterion": half_square, **changes})


def on_grid(theta: list[float]) -> Replica:
    replica = Replica(Parabola())
    replica.load_(np.array(theta + [0.0] * (DIM - len(theta)), np.float32))
    replica.snap_()
    return replica


THETA = [0.5, -0.25, 0.125, 0.75]
AT_ZERO = [
    ClientData(slot=slot, x=torch.zeros(n, DIM), y=torch.zeros(n)) for slot, n in enumerate((1, 3))
]
TWO = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1), samples=(1, 3))


@pytest.mark.parametrize(
    ("changes", "omegas"),
    [
        ({}, (0.5, 0.5)),
        ({"average": "sum"}, (1.0, 1.0)),
        ({"weighted": True}, (0.25, 0.75)),
        ({"tau": 0.5}, (0.125, 0.125)),  # tau^2 times the mean
        ({"tau": 0.5, "literal_tau": False}, (0.5, 0.5)),
    ],
)
def test_a_step_by_hand(changes: dict[str, Any], omegas: tuple[float, float]) -> None:
    """L = ||theta||^2 / 2, so dL = 2 rho z.theta and theta moves by -lr omega (z.theta) z: all of
    them short binary fractions, so that nothing is rounded.
    """
    method, replica = zeroth_order(**changes), on_grid(THETA)
    theta = replica.values().astype(np.float64)
    updates = [method.client_update(replica, data, TWO) for data in AT_ZERO]
    rho = 2.0**-10 * method.tau
    expected = theta.copy()
    for slot, omega in enumerate(omegas):
        z = rademacher(method.seeds(TWO, slot)[0], 0, DIM).astype(np.float64)
        update = updates[slot]
        assert isinstance(update, ScalarUpdate)
        assert update.differences.tolist() == [2 * rho * float(z @ theta)]
        expected -= 0.25 * omega * float(z @ theta) * z
    method.server_result(replica, updates, TWO)
    assert replica.values().tolist() == expected.tolist()


def test_a_clients_directions_are_its_own_and_each_rounds() -> None:
    method = zeroth_order(directions=3)
    later = replace(TWO, round_index=5)
    seeds = [s for context in (TWO, later) for slot in (0, 1) for s in method.seeds(context, slot)]
    assert len(set(seeds)) == 12


def test_who_takes_part_is_told_by_the_bitmap_in_slot_order() -> None:
    """GIVEN updates that come out of order and one that never comes."""
    context = RoundContext(
        run_seed=1, run_id=9, round_index=4, cohort=(1, 2, 4, 5), samples=(5, 2, 4, 6)
    )
    method, replica, other = zeroth_order(directions=2), on_grid(THETA), on_grid(THETA)
    updates = {slot: method.client_update(replica, client(slot), context) for slot in (5, 1, 4)}
    result, _ = method.server_result(replica, updates.values(), context)
    assert isinstance(result, RoundResult)
    assert result.participates.tolist() == [True, False, True, True]
    for row, slot in zip(result.differences, (1, 4, 5), strict=True):
        assert row.tolist() == updates[slot].differences.tolist()  # type: ignore[attr-defined]
    method.apply_(other, result, context)
    assert other.digest() == replica.digest()


def test_a_round_below_the_quorum_commits_empty_and_changes_nothing() -> None:
    for method, replica in ((zeroth_order(), on_grid(THETA)), (fedavg(), Replica(Parabola(0.5)))):
        before = replica.digest()
        result, report = method.server_result(replica, [], TWO)
        assert replica.digest() == before
        assert report.zero_share is None
        method.apply_(replica, Payload.decode(result.encode()), TWO)
        assert replica.digest() == before


def test_an_update_on_other_weights_is_refused_before_the_step() -> None:
    method, server, forked = zeroth_order(), on_grid(THETA), on_grid([0.5, -0.25, 0.125, 0.7500001])
    update = method.client_update(forked, AT_ZERO[1], TWO)
    before = server.digest()
    with pytest.raises(ForkError, match=r"slot 1 computed on weights.*snapshot"):
        method.server_result(server, [update], TWO)
    assert server.digest() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"round_index": 3}, "round 4, got run 9, round 3"),
        ({"run_id": 8}, "run 9, round 4, got run 8"),
        ({"slot": 2}, "slot in the cohort.* got slot 2"),
        ({"differences": np.zeros(2, np.float32)}, "hold 1 scalars, got slot 0 with 2"),
    ],
)
def test_an_update_that_does_not_belong_here_is_refused(
    change: dict[str, Any], message: str
) -> None:
    method, replica = zeroth_order(), on_grid(THETA)
    update = method.client_update(replica, AT_ZERO[0], TWO)
    before = replica.digest()
    with pytest.raises(ValueError, match=message):
        method.server_result(replica, [replace(update, **change)], TWO)  # type: ignore[type-var]
    assert replica.digest() == before


@pytest.mark.parametrize("flip", ["a weight", "an exponent", "a scalar"])
def test_a_replica_that_ends_elsewhere_than_the_server_is_refused(flip: str) -> None:
    method, server, other = zeroth_order(), on_grid(THETA), on_grid(THETA)
    update = method.client_update(server, AT_ZERO[0], TWO)
    result, _ = method.server_result(server, [update], TWO)
    assert isinstance(result, RoundResult)
    if flip == "a weight":
        other.params.arrays[0][DIM - 1] += 2.0**-20
    elif flip == "an exponent":
        other.grid = Grid(other.grid.exponents + 1)  # type: ignore[union-attr]
    else:
        result = replace(result, differences=result.differences * np.float32(1.01))
    with pytest.raises(ForkError, match="this replica's digest begins with"):
        method.apply_(other, result, TWO)
