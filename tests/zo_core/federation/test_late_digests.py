"""Digests hashed beside the next round: the same log and bits, and no error of the thread lost."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from waiting import WAIT_S

from zo_core.algorithms import train_config
from zo_core.data import synthetic_blobs
from zo_core.federation.simulation import late_digests
from zo_core.federation.simulation.late_digests import LateDigests
from zo_core.federation.simulation.run_checkpoint import resume_, save
from zo_core.federation.simulation.training import Training
from zo_core.replica import Replica

CONFIG: dict[str, Any] = {
    **{"dataset": "synthetic", "clients": 4, "high_share": 0.5, "warmup_cohort": 2},
    **{"rounds": 5, "pivot": 1, "eval_every": 5},
}


def started(algorithm: str = "zowarmup", *, late: bool) -> Training:
    """Build a run whose digests are late, as on an accelerator, or not."""
    data = synthetic_blobs(train_items=80, test_items=20)
    training = Training(train_config(algorithm, **CONFIG), data)
    training._late = LateDigests(training.replica) if late else None
    return training


def bodies(training: Training) -> tuple[bytes, ...]:
    assert training.log is not None
    return training.log.bodies


@pytest.mark.parametrize(
    "algorithm", ["zowarmup", "zowarmup-fedadam", "zowarmup-hi-lo", "zowarmup-fedkseed", "fedzo"]
)
def test_log_and_bits_are_those_of_digests_at_once(algorithm: str) -> None:
    plain, late = started(algorithm, late=False), started(algorithm, late=True)
    assert plain.run().digest == late.run().digest
    assert (plain.log is None) == (late.log is None)
    if plain.log is not None:
        assert bodies(plain) == bodies(late)


def test_a_digest_is_hashed_while_the_next_rounds_forwards_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """GIVEN a hash that ends only when a later forward has run, THEN the rounds go on."""
    forward, hashing = threading.Event(), threading.Event()
    overlapped = []
    real_digest, real_loss = late_digests.digest, Replica.mean_loss

    def digest(*arguments: Any, **named: Any) -> bytes:
        hashing.set()
        overlapped.append(forward.wait(WAIT_S))
        return real_digest(*arguments, **named)

    def mean_loss(self: Replica, *arguments: Any, **named: Any) -> float:
        if hashing.is_set():
            forward.set()
        return real_loss(self, *arguments, **named)

    monkeypatch.setattr(late_digests, "digest", digest)
    monkeypatch.setattr(Replica, "mean_loss", mean_loss)
    training = started(late=True)
    training.run()
    assert overlapped == [True] * 4
    assert len(bodies(training)) == 4


def test_an_error_of_the_hashing_thread_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def digest(*arguments: Any, **named: Any) -> bytes:
        calls.append(arguments)
        if len(calls) == 2:
            raise MemoryError("no room to hash")
        return bytes(32)

    monkeypatch.setattr(late_digests, "digest", digest)
    training = started(late=True)
    with pytest.raises(MemoryError, match="no room"):
        training.run()
    assert len(bodies(training)) == 1  # what was logged before is whole


def test_a_checkpoint_has_the_last_rounds_digest(tmp_path: Path) -> None:
    whole = started(late=False)
    expected = whole.run().digest
    first = started(late=True)
    first.run(save=partial(save, first, tmp_path), stop=lambda: first.record.rounds_done == 3)
    resumed = started(late=True)
    assert resume_(resumed, tmp_path)
    assert resumed.run().digest == expected
    assert bodies(resumed) == bodies(whole)


def test_a_single_step_has_its_digest_at_once() -> None:
    training = started(late=True)
    training.step(0)
    result: Any = training.step(1).result
    assert result.digest == training.replica.digest_prefix() != bytes(8)
