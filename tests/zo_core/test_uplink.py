"""Compressed up-links: codes and bytes by hand, and what is left out comes back later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from parabola import Parabola, client, config, half_square, start

from zo_core import cost_model
from zo_core.algorithms import build_algorithm
from zo_core.federation import Replica
from zo_core.first_order.uplink import (
    UPLINKS,
    change_of,
    compress,
    compress_with_feedback_,
    decompressed,
    largest,
)
from zo_core.method import RoundContext
from zo_core.payloads.core import (
    DenseWeights,
    Payload,
    PayloadError,
    QuantisedChange,
    SparseChange,
)

COMPRESSED = [name for name in UPLINKS if name != "dense"]
CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1), samples=(3, 5))


def dense(*values: float) -> DenseWeights:
    return DenseWeights(
        run_id=9, round_index=4, slot=1, samples=5, values=np.array(values, np.float32)
    )


def sent(name: str, *change: float, sizes: tuple[int, ...] | None = None) -> Any:
    values = np.array(change, np.float32)
    return compress(name, values, sizes or (values.size,), dense())


def test_the_largest_are_found_in_order_and_of_equal_ones_the_first() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        change = rng.integers(-4, 5, 30).astype(np.float32)
        count = int(rng.integers(1, 31))
        slow = sorted(sorted(range(30), key=lambda i: (-abs(change[i]), i))[:count])
        assert largest(change, count).tolist() == slow


def test_top_k_sends_one_weight_in_a_hundred_as_it_is() -> None:
    change = np.zeros(150, np.float32)
    change[[3, 7, 140]] = 0.5, -2.0, 1.0
    message = compress("top-k", change, (150,), dense())
    assert isinstance(message, SparseChange)
    assert message.positions.tolist() == [7, 140]
    assert message.values.tolist() == [-2.0, 1.0]
    assert np.flatnonzero(change_of(message, (150,))).tolist() == [7, 140]


def test_eight_bits_by_hand() -> None:
    """The largest of a tensor is 127 steps; a tensor of zeros has none."""
    message = sent("8-bit", 1.27, -0.5, 0.004, 0.0, 0.0, sizes=(3, 2))
    assert message.codes.tolist() == [127, -50, 0, 0, 0]
    assert message.scales == pytest.approx([0.01, 0.0])
    assert change_of(message, (3, 2)) == pytest.approx([1.27, -0.5, 0, 0, 0])


def test_one_bit_by_hand() -> None:
    """Each tensor's scale is its mean magnitude; 0 counts as above."""
    message = sent("1-bit", 3.0, -1.0, 0.0, 0.0, -8.0, sizes=(4, 1))
    assert message.codes.tolist() == [1, -1, 1, 1, -1]
    assert change_of(message, (4, 1)).tolist() == [1.0, -1.0, 1.0, 1.0, -8.0]


def test_error_feedback_by_hand() -> None:
    """From w = 0 a client twice ends at (3, -1): it sends (2, -2) and keeps (1, 1); then its change
    is (4, 0), it sends (2, 2) and keeps (2, -2).
    """
    replica = Replica([np.zeros(2, np.float32)])
    for wanted, kept in (([2.0, -2.0], [1.0, 1.0]), ([2.0, 2.0], [2.0, -2.0])):
        message = compress_with_feedback_("1-bit", replica, dense(3.0, -1.0))
        assert change_of(message, (2,)).tolist() == wanted
        assert replica.client_states[1].arrays()[0].tolist() == kept
    assert list(replica.client_states) == [1]


@pytest.mark.parametrize("name", COMPRESSED)
def test_nothing_is_lost_what_was_sent_and_what_is_kept_add_up(name: str) -> None:
    rng = np.random.default_rng(1)
    replica = Replica([np.zeros(200, np.float32), np.zeros(3, np.float32)])
    total, arrived = np.zeros(203), np.zeros(203)
    for _ in range(5):
        change = rng.normal(size=203).astype(np.float32)
        message = compress_with_feedback_(name, replica, dense(*change))
        total += change
        arrived += change_of(message, (200, 3))
    assert np.allclose(arrived + replica.client_states[1].arrays()[0], total, atol=1e-5)


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("size", [1, 8, 99, 1001])
def test_bytes_are_those_of_the_closed_form_and_the_header(name: str, size: int) -> None:
    change = np.random.default_rng(size).normal(size=size).astype(np.float32)
    message = compress(name, change, (size,), dense(*([0.5] * 4)))
    body = message.encode()
    predicted = {
        "top-k": lambda: cost_model.comm_sparse(-(-size // 100)),
        "8-bit": lambda: cost_model.comm_quantised(size, bits=8, tensors=1),
        "1-bit": lambda: cost_model.comm_quantised(size, bits=1, tensors=1),
    }[name]()
    head = 36 if name == "top-k" else 41
    assert len(body) == message.num_bytes == head + predicted + cost_model.comm_full(4)
    assert Payload.decode(body) == message


def test_a_compressed_client_takes_less_of_the_link_and_ends_near_the_dense_one() -> None:
    ends = {}
    for name in UPLINKS:
        run = start("fedavg", uplink=name, rounds=60)  # top-k sends one of 12 weights
        for _ in run.rounds():
            pass
        ends[name] = run.loss()
    floor = start("fedavg")
    items = np.concatenate([client(slot).x.numpy() for slot in range(6)])
    floor.replica.load_(items.mean(axis=0))
    for name in COMPRESSED:
        assert ends[name] - floor.loss() < 0.15 * (start("fedavg").loss() - floor.loss()), name


def test_a_clients_update_leaves_the_weights_and_the_buffers_cross_whole() -> None:
    method = build_algorithm(config("fedavg", uplink="8-bit"), (0,)).phases[0].method
    method = replace(method, criterion=half_square)  # type: ignore[type-var]
    replica = Replica(Parabola())
    update = method.client_update(replica, client(1), CONTEXT)
    assert isinstance(update, QuantisedChange)
    assert not replica.values().any()
    found = decompressed(replica, Payload.decode(update.encode()))
    assert (found.slot, found.samples, found.values.size) == (1, 5, 12)
    assert method.client_state_bytes(replica) == 2 * 4 * 12  # type: ignore[attr-defined]


def test_a_change_of_another_model_is_refused() -> None:
    for name in COMPRESSED:
        with pytest.raises(ValueError, match="of 3 weights in 1 tensors, got 2"):
            change_of(sent(name, 1.0, 2.0), (3,))


def test_malformed_positions_and_widths_are_refused() -> None:
    message = sent("top-k", *([1.0] * 200))
    for positions in ([5, 5], [6, 5], [0, 200]):
        bad = replace(message, positions=np.array(positions, np.uint32))
        with pytest.raises(PayloadError, match="ascending and below 200"):
            Payload.decode(bad.encode())
    body = bytearray(sent("1-bit", 1.0).encode())
    body[4 + 20] = 2
    with pytest.raises(PayloadError, match=r"QuantisedChange.bits: must be one of \[1, 8\], got 2"):
        Payload.decode(bytes(body))
