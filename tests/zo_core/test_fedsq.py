"""FedSQ: codes, bytes and three clients by hand; what is left out comes back later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zo_core.algorithms.baselines.fedsq import FedSQ, limit_of
from zo_core.method import RoundContext
from zo_core.payloads.core import DenseWeights, Payload, PayloadError
from zo_core.replica import Replica

CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=0, cohort=(0, 1, 2), samples=(1, 1, 2))


def method(**changes: Any) -> FedSQ:
    fields: dict[str, Any] = {"client_lr": 0.5, "server_lr": 1.0, "local_epochs": 1}
    return FedSQ(**{**fields, "batch_size": 4, "bits": 8, "sent_share": 0.5, **changes})


def send(replica: Replica, *change: float, slot: int = 1, samples: int = 5, **changes: Any) -> Any:
    values = np.array([*change, 7.0], np.float32)  # one buffer
    trained = DenseWeights(run_id=9, round_index=0, slot=slot, samples=samples, values=values)
    return method(**changes).encoded_(replica, values[:-1], trained, CONTEXT)


def weights(*sizes: int) -> Replica:
    return Replica([np.zeros(size, np.float32) for size in sizes])


def test_three_clients_by_hand() -> None:
    """Two bits: codes -1, 0 and 1.  Each sends the larger of two weights as it is: (4, 1), (1, -2)
    and (3, 6), with 1, 1 and 2 items: 4 / 4 and (-2 + 2 * 6) / 4.
    """
    replica, changes = weights(2), {0: (4.0, 1.0), 1: (1.0, -2.0), 2: (3.0, 6.0)}
    updates = [
        replace(send(replica, *c, slot=s, samples=1 + (s == 2), bits=2), buffers=np.empty(0, "f"))
        for s, c in changes.items()
    ]
    assert [u.codes.tolist() for u in updates] == [[1], [-1], [1]]
    method().server_result(replica, updates, CONTEXT)
    assert replica.values().tolist() == [1.0, 2.5]
    kept = [replica.client_states[slot].arrays()[0].tolist() for slot in range(3)]
    assert kept == [[0.0, 1.0], [1.0, 0.0], [3.0, 0.0]]


def test_eight_bits_of_all_weights_by_hand() -> None:
    """The largest of a tensor is 127 steps; a tensor of zeros has none."""
    update = send(weights(3, 2), 1.27, -0.5, 0.004, 0.0, 0.0, sent_share=1.0)
    assert update.codes.tolist() == [127, -50, 0, 0, 0]
    assert update.scales == pytest.approx([0.01, 0.0])
    assert update.sent.size == 0


def test_one_bit_of_all_weights_by_hand() -> None:
    """Each tensor's scale is its mean magnitude; 0 counts as above."""
    update = send(weights(4, 1), 3.0, -1.0, 0.0, 0.0, -8.0, sent_share=1.0, bits=1)
    assert update.codes.tolist() == [1, -1, 1, 1, -1]
    change = method().change_of(weights(4, 1), update)
    assert change.tolist() == [1.0, -1.0, 1.0, 1.0, -8.0]


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("sent_share", [0.1, 1.0])
def test_nothing_is_lost_what_was_sent_and_what_is_kept_add_up(
    bits: int, sent_share: float
) -> None:
    rng, replica = np.random.default_rng(1), weights(200, 3)
    total, arrived = np.zeros(203), np.zeros(203)
    for _ in range(5):
        change = rng.normal(size=203).astype(np.float32)
        update = send(replica, *change, bits=bits, sent_share=sent_share)
        assert np.abs(update.codes).max() <= limit_of(bits)
        assert Payload.decode(update.encode()) == update
        total += change
        arrived += method().change_of(replica, update)
    assert np.allclose(arrived + replica.client_states[1].arrays()[0], total, atol=1e-5)


@pytest.mark.parametrize(("bits", "size"), [(1, 8), (3, 99), (8, 1001)])
def test_bytes_are_those_of_the_closed_form_and_the_header(bits: int, size: int) -> None:
    change = np.random.default_rng(size).normal(size=size)
    for sent_share, sent, bitmap in ((1.0, size, 0), (0.1, -(-size // 10), -(-size // 8))):
        update = send(weights(size), *change, bits=bits, sent_share=sent_share)
        coded = -(-bits * sent // 8) + 4
        assert len(update.encode()) == update.num_bytes == 49 + bitmap + coded + 4
        assert update.scalar_bytes == bitmap + coded + 4


def test_a_malformed_or_foreign_change_is_refused() -> None:
    update = send(weights(4), 1.0, 2.0, 3.0, 4.0)
    with pytest.raises(ValueError, match="of 3 weights, got 4"):
        method().change_of(weights(3), update)
    with pytest.raises(PayloadError, match="2 weights are sent in 1 codes"):
        Payload.decode(replace(update, codes=update.codes[:1]).encode())
