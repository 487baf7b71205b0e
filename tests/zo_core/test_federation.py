"""Rounds, replicas and the log: everyone ends a round with the same bits, and pays what is said."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from parabola import DIM, Parabola, Run, client, start
from torch import nn

from zo_core.algorithms import train_config
from zo_core.data import Dataset
from zo_core.federation import ForkError, Replica, RoundLog, RoundRecord, run_round, sample_cohort
from zo_core.federation.protocol.catch_up import pack, prefers_tail
from zo_core.federation.simulation.training import Training
from zo_core.payloads.core import DenseWeights, Payload, RoundResult

pytestmark = pytest.mark.usefixtures("one_torch_thread")


# --- cohorts -------------------------------------------------------------------------------------


def test_a_cohort_is_some_of_the_pool_ascending_and_each_once() -> None:
    pool = (2, 3, 5, 7, 11, 13)
    for round_index in range(50):
        cohort = sample_cohort(1, round_index, pool, 4)
        assert len(cohort) == 4
        assert list(cohort) == sorted(set(cohort))
        assert set(cohort) <= set(pool)


def test_a_cohort_larger_than_the_pool_is_the_pool() -> None:
    assert sample_cohort(1, 0, (4, 9), 2) == sample_cohort(1, 0, (4, 9), 50) == (4, 9)


def test_a_cohort_follows_from_run_seed_and_round_alone() -> None:
    cohorts = [sample_cohort(seed, r, range(50), 10) for seed in (1, 2) for r in range(20)]
    assert cohorts[:20] == [sample_cohort(1, r, tuple(range(50)), 10) for r in range(20)]
    assert len(set(cohorts)) == 40


def test_every_client_is_drawn_equally_often_within_five_sigma() -> None:
    rounds, size, pool = 600, 3, 10
    drawn = Counter(slot for r in range(rounds) for slot in sample_cohort(7, r, range(pool), size))
    share = size / pool
    assert (
        max(abs(drawn[slot] - rounds * share) for slot in range(pool))
        < 5 * (rounds * share * (1 - share)) ** 0.5
    )


# --- one round -----------------------------------------------------------------------------------


def finished(**changes: Any) -> tuple[Run, list[RoundRecord]]:
    run = start("zowarmup", **{"rounds": 8, "pivot": 2, **changes})
    return run, list(run.rounds())


def test_a_rounds_bytes_are_those_of_its_encoded_messages() -> None:
    run, records = finished()
    dense, scalars = records[0], records[5]
    assert dense.per_client.up_scalars == dense.per_client.down_scalars == 4 * DIM
    assert dense.per_client.up_payload == len(dense.result.encode())  # the same kind of message
    assert scalars.per_client.up_scalars == 4 * 3
    assert scalars.per_client.down_scalars == 4 * 3 * 4  # S scalars of each of the cohort
    assert scalars.per_client.down_payload == len(scalars.result.encode())
    again = run.method_at(5).client_update(run.replica, client(0), run.context_of(5))
    assert scalars.per_client.up_payload == len(again.encode())


def test_dense_results_go_to_the_cohort_and_scalars_to_everyone() -> None:
    _, records = finished()
    assert [record.receivers for record in records] == [2, 2, 6, 6, 6, 6, 6, 6]
    assert [len(record.cohort) for record in records] == [2, 2, 4, 4, 4, 4, 4, 4]
    assert [record.round_index for record in records] == list(range(8))


def test_updates_are_asked_for_one_by_one_in_slot_order() -> None:
    run, _ = finished()
    asked: list[int] = []

    def data(slot: int) -> Any:
        asked.append(slot)
        return client(slot)

    context = run.context_of(3)
    run_round(run.method_at(3), run.replica, data, context, roster_size=6)
    assert asked == sorted(context.cohort)


def test_a_result_counts_the_whole_cohort_in_process() -> None:
    _, records = finished()
    result = records[-1].result
    assert isinstance(result, RoundResult)
    assert result.participates.all()
    assert result.differences.shape == (4, 3)


# --- the log -------------------------------------------------------------------------------------


def logged(**changes: Any) -> tuple[Run, RoundLog, list[RoundRecord]]:
    run, records = finished(**changes)
    assert run.snapshot is not None
    log = RoundLog(run.snapshot, run.context_of)
    for record in records[2:]:
        log.append(record.result)
    return run, log, records


def test_a_late_joiner_holds_the_servers_digest_after_all_rounds() -> None:
    run, log, _ = logged(rounds=40)
    late = Replica(Parabola(start=0.123))
    log.replay_(run.method_at(2), late)
    assert late.digest() == run.replica.digest()
    assert log.next_round == 40


def test_who_was_away_replays_the_tail_alone() -> None:
    run, log, records = logged()
    away = Replica(Parabola())
    assert run.snapshot is not None
    away.restore_(run.snapshot)
    for record in records[2:5]:
        run.method_at(2).apply_(away, record.result, run.context_of(record.round_index))
    assert away.digest() != run.replica.digest()
    log.replay_(run.method_at(2), away, from_round=5)
    assert away.digest() == run.replica.digest()
    log.replay_(run.method_at(2), away, from_round=8)  # nothing is left to replay
    assert away.digest() == run.replica.digest()


def test_a_client_without_torch_replays_the_log_too() -> None:
    run, log, _ = logged()
    light = Replica([np.zeros(DIM, np.float32)])
    log.replay_(run.method_at(2), light)
    assert light.digest() == run.replica.digest()


def test_a_forked_replica_is_refused() -> None:
    run, log, records = logged()
    forked = Replica(Parabola())
    assert run.snapshot is not None
    forked.restore_(run.snapshot)
    forked.params.arrays[0][3] += 2.0**-23
    forked.invalidate_digest()
    with pytest.raises(ForkError, match="take over a snapshot"):
        log.replay_(run.method_at(2), forked, from_round=2)
    with pytest.raises(ForkError):
        run.method_at(2).apply_(forked, records[2].result, run.context_of(2))


def test_replaying_from_a_round_that_the_replica_does_not_stand_at_is_refused() -> None:
    run, log, _ = logged()
    late = Replica(Parabola())
    log.replay_(run.method_at(2), late)
    with pytest.raises(ForkError):
        log.replay_(run.method_at(2), late, from_round=6)


@pytest.mark.parametrize("from_round", [-1, 0, 1, 9, 100])
def test_a_round_that_the_log_does_not_reach_is_an_error_with_a_way_out(from_round: int) -> None:
    run, log, _ = logged()
    replica = Replica(Parabola())
    before = replica.digest()
    with pytest.raises(ValueError, match=r"from_round must be in \[2, 8\].*start with the snap"):
        log.replay_(run.method_at(2), replica, from_round=from_round)
    assert replica.digest() == before


@pytest.mark.parametrize("index", [2, 4, 7])
def test_results_are_appended_in_their_order_and_once(index: int) -> None:
    run, _, records = logged()
    assert run.snapshot is not None
    log = RoundLog(run.snapshot, run.context_of)
    log.append(records[2].result)
    with pytest.raises(ValueError, match=f"next round is 3, got a result of {index}"):
        log.append(records[index].result)
    assert log.next_round == 3


def test_catching_up_costs_the_tail_or_a_snapshot_whichever_is_fewer_bytes() -> None:
    run, log, records = logged()
    bodies = [record.result.encode() for record in records[2:]]
    assert run.snapshot is not None
    snapshot = run.snapshot.encode()
    packed = len(pack([snapshot]))
    tails = [sum(len(body) for body in bodies[i:]) for i in range(7)]
    assert tails[0] > len(snapshot) > tails[5] > 0
    for i, tail in enumerate(tails):
        assert log.tail_bytes(2 + i) == tail
        fewer = tail <= len(snapshot)
        assert prefers_tail(log, from_round=2 + i, snapshot_bytes=packed) == fewer
    assert not prefers_tail(log, from_round=None, snapshot_bytes=packed)


# --- the replica ---------------------------------------------------------------------------------


def batch_normed() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_a_snapshot_restores_weights_exponents_and_buffers_to_the_bit() -> None:
    replica, other = Replica(batch_normed()), Replica(batch_normed())
    replica.module(torch.randn(16, 3))  # moves the running statistics
    replica.snap_()
    body = replica.snapshot(run_id=1, round_index=5).encode()
    assert other.digest() != replica.digest()
    snapshot = Payload.decode(body)
    other.restore_(snapshot)  # type: ignore[arg-type]
    assert other.digest() == replica.digest()
    assert other.module[1].num_batches_tracked == 1


def test_a_state_of_another_model_is_an_error_that_changes_nothing() -> None:
    replica = Replica(Parabola())
    before = replica.digest()
    for size in (DIM - 1, DIM + 1):
        with pytest.raises(ValueError, match=f"state has {DIM} values, got {size}; both sides"):
            replica.load_(np.ones(size, np.float32))
    replica.invalidate_digest()
    assert replica.digest() == before


def test_values_are_a_copy_and_come_back() -> None:
    replica = Replica(batch_normed())
    values = replica.values()
    values += 1
    assert not np.array_equal(replica.values(), values)
    replica.load_(values)
    assert replica.values().tolist() == values.tolist()


# --- whole runs on digits ------------------------------------------------------------------------

SMALL: dict[str, Any] = {
    "clients": 8,
    "high_share": 0.25,
    "rounds": 5,
    "pivot": 2,
    "warmup_cohort": 2,
    "zo_cohort": 5,
    "local_epochs": 1,
    "eval_every": 2,
}


@cache
def digits() -> Dataset:
    from zo_core.data import load_dataset

    return load_dataset("digits")


@cache
def trained(**changes: Any) -> Training:
    """A run to its end, which no test changes."""
    training = Training(train_config(**{**SMALL, **changes}), digits())
    training.run()
    return training


def test_a_run_is_fixed_by_its_config() -> None:
    first, other = trained(run_seed=3).record, trained(run_seed=4).record
    second = Training(train_config(**SMALL, run_seed=3), digits()).run()
    assert first.digest == second.digest != other.digest
    assert [e.test_accuracy for e in first.curve] == [e.test_accuracy for e in second.curve]
    assert (first.up_payload_bytes, first.down_payload_bytes) == (
        second.up_payload_bytes,
        second.down_payload_bytes,
    )
    assert first.outcome == "finished"
    assert first.reason is None


def test_a_runs_bytes_are_the_sum_of_its_messages() -> None:
    training = trained(run_seed=3)
    record, log = training.record, training.log
    assert log is not None
    p = training.replica.params.num_elements
    dense = len(
        DenseWeights(
            run_id=0, round_index=0, slot=0, samples=1, values=np.zeros(p, np.float32)
        ).encode()
    )
    up_zo = 4 + 8 + 4 + 4 + 8 + 2 + 3 * 4
    assert record.up_payload_bytes == 2 * 2 * dense + 3 * 5 * up_zo
    results = log.tail_bytes(2)
    assert record.handover_bytes == 8 * len(log.snapshot.encode())
    assert record.down_payload_bytes == 2 * 2 * dense + record.handover_bytes + 8 * results
    assert [e.rounds_done for e in record.curve] == [2, 4, 5]
    assert record.final.down_payload_bytes == record.down_payload_bytes


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_zo_rounds_touch_no_buffer_and_a_late_joiner_ends_at_the_servers_digest(norm: str) -> None:
    training = Training(train_config(**SMALL, norm=norm), digits())
    buffers = training.replica.module.buffers
    for round_index in range(3):
        training.step(round_index)
    frozen = [b.clone() for b in buffers()]
    assert bool(frozen) == (norm == "batch")
    for round_index in (3, 4):
        training.step(round_index)
        training.evaluate()
    assert all(torch.equal(a, b) for a, b in zip(frozen, buffers(), strict=True))
    late = Replica(Training(train_config(**SMALL, norm=norm, run_seed=99), digits()).replica.module)
    assert training.log is not None
    log_method = training.schedule.phase_at(4).method
    assert late.digest() != training.replica.digest()
    training.log.replay_(log_method, late)
    assert late.digest() == training.replica.digest()


def test_the_share_of_zero_increments_is_recorded_and_warned_about() -> None:
    fine, stuck = trained(run_seed=3).record, trained(zo_server_lr=1e-9).record
    assert len(fine.zero_shares) == len(stuck.zero_shares) == 3
    assert max(fine.zero_shares) < 0.5 < min(stuck.zero_shares)
    assert not fine.warnings
    assert stuck.warnings


DIVERGING: dict[str, tuple[dict[str, Any], str]] = {
    "zeroth-order": ({"zo_server_lr": 1e6}, "round 2: parameter .* would reach"),
    "absurdly": ({"zo_server_lr": 1e30}, "round 2: parameter .* would reach"),
    "warm-up": ({"client_lr": 1e30}, "round 0: client .*not finite.*client_lr"),
    "epsilon": ({"epsilon": 1e-12}, "round 2: .*raise epsilon"),
}


@pytest.mark.parametrize("how", DIVERGING)
def test_a_run_that_diverges_is_a_record_with_a_reason(how: str) -> None:
    changes, reason = DIVERGING[how]
    training = Training(train_config(**{**SMALL, **changes}), digits())
    record = training.run()
    assert record.outcome == "diverged"
    assert record.reason is not None
    assert re.search(reason, record.reason)
    assert record.rounds_done == int(reason.split()[1][:-1])
    assert record.digest is not None
    assert np.isfinite(training.replica.values()).all()
    assert len(record.curve) >= 1


def test_baselines_run_without_a_hand_over() -> None:
    for name in ("fedavg", "high-res-only"):
        training = trained(algorithm=name)
        assert training.log is None
        assert training.record.handover_bytes == 0
        assert training.record.zero_shares == []
        assert training.record.seconds_by_method.keys() == {"fedavg"}


def test_only_the_capable_warm_up() -> None:
    training = Training(train_config(**SMALL), digits())
    assert len(training.high) == 2
    assert set(training.step(0).cohort) <= set(training.high)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "gpt"}, "unknown model 'gpt'; model must be one of"),
        ({"algorithm": "adam"}, "unknown algorithm 'adam'; known"),
        ({"norm": "layer"}, "norm"),
        ({"high_share": 0.01}, "no client"),
        ({"clients": 2000}, "clients must be at most"),
    ],
)
def test_a_mistake_in_the_config_is_an_error_before_the_first_round(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Training(train_config(**{**SMALL, **change}), digits())


def test_samples_of_a_context_are_the_cohorts_shards() -> None:
    training = Training(train_config(**SMALL), digits())
    context = training.context_of(3)
    assert len(context.cohort) == len(context.samples) == 5
    assert context.samples == tuple(len(training.client_data(s).y) for s in context.cohort)
