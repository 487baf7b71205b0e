"""Scalars as float32, float16 or signs: the bytes by hand, and what a receiver decodes."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zo_core.payloads.core import NotFiniteError, Payload, PayloadError, RoundResult, ScalarUpdate
from zo_core.payloads.scalars import ENCODINGS, ScalarEncoding, decoded

HEAD: dict[str, Any] = {"run_id": 7, "round_index": 9, "digest": b"12345678"}
FOUR = np.array([0.5, -1.0, 2.0, -0.5], np.float32)
SIGN, HALF = ScalarEncoding.SIGN, ScalarEncoding.FLOAT16
EACH = pytest.mark.parametrize("encoding", ScalarEncoding)


def update(encoding: ScalarEncoding, scalars: np.ndarray[Any, Any]) -> ScalarUpdate:
    return ScalarUpdate(**HEAD, slot=3, encoding=encoding, differences=decoded(scalars, encoding))


def result(encoding: ScalarEncoding, clients: int, count: int) -> RoundResult:
    rows = np.random.default_rng(1).normal(size=(clients, count)).astype(np.float32)
    return RoundResult(
        **HEAD,
        participates=np.ones(clients, np.bool_),
        encoding=encoding,
        differences=decoded(rows, encoding),
    )


def test_signs_by_hand() -> None:
    """The scale is (0.5 + 1 + 2 + 0.5) / 4 = 1; the second and fourth are negative: 2 + 8."""
    message = update(SIGN, FOUR)
    assert message.differences.tolist() == [1.0, -1.0, 1.0, -1.0]
    head = struct.pack("<2sBBQII8sBH", b"ZO", 1, 12, 7, 9, 3, b"12345678", 2, 4)
    assert message.encode() == head + struct.pack("<f", 1.0) + bytes([0b1010])


def test_half_precision_by_hand_and_at_its_end() -> None:
    message = update(HALF, np.array([1.0, 1.0 + 2.0**-12, 1e9, -1e9], np.float32))
    assert message.differences.tolist() == [1.0, 1.0, 65504.0, -65504.0]
    assert message.encode()[-8:] == struct.pack("<4e", 1.0, 1.0, 65504.0, -65504.0)


def test_float32_keeps_the_bytes_of_the_message_without_an_encoding() -> None:
    head = struct.pack("<2sBBQII8sH", b"ZO", 1, 2, 7, 9, 3, b"12345678", 4)
    assert update(ScalarEncoding.FLOAT32, FOUR).encode() == head + FOUR.tobytes()


def test_a_loss_stands_in_the_header_and_losses_before_the_scalars() -> None:
    message = replace(update(SIGN, FOUR), loss=0.75)
    head = struct.pack("<2sBBQII8sBfH", b"ZO", 1, 18, 7, 9, 3, b"12345678", 2, 0.75, 4)
    assert message.encode() == head + struct.pack("<f", 1.0) + bytes([0b1010])
    both = replace(result(HALF, 2, 1), losses=np.array([0.75, -1.5], np.float32))
    head = struct.pack("<2sBBQI8sIBHB", b"ZO", 1, 19, 7, 9, b"12345678", 2, 1, 1, 0b11)
    scalars = both.differences.astype("<f2").tobytes()
    assert both.encode() == head + struct.pack("<2f", 0.75, -1.5) + scalars
    assert (message.scalar_bytes, both.scalar_bytes) == (4 + 5, 8 + 4)
    for payload in (message, both):
        assert Payload.decode(payload.encode()) == payload


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_refused(value: float) -> None:
    losses = np.full(1, value, np.float32)
    for bad in (
        replace(update(HALF, FOUR), loss=value),
        replace(result(HALF, 1, 1), losses=losses),
    ):
        with pytest.raises(NotFiniteError, match="loss"):
            Payload.decode(bad.encode())


@pytest.mark.parametrize(
    ("encoding", "up", "down"),
    [(ScalarEncoding.FLOAT32, 252, 2520), (HALF, 126, 1260), (SIGN, 12, 120)],
)
def test_bytes_of_63_scalars_of_each_of_10_clients(
    encoding: ScalarEncoding, up: int, down: int
) -> None:
    """As signs they are the 12 bytes up and 120 down of the paper's 3 scalars."""
    one = update(encoding, np.arange(-31, 32).astype(np.float32))
    ten = result(encoding, clients=10, count=63)
    assert (one.scalar_bytes, ten.scalar_bytes) == (up, down)
    for message in (one, ten):
        assert message.num_bytes == len(message.encode())


@EACH
@pytest.mark.parametrize("count", [1, 7, 8, 9, 63])
@pytest.mark.parametrize("clients", [0, 1, 5])
def test_a_message_comes_back_and_decoding_again_changes_nothing(
    encoding: ScalarEncoding, count: int, clients: int
) -> None:
    message = result(encoding, clients, count)
    again = Payload.decode(message.encode())
    assert isinstance(again, RoundResult)
    assert again == message
    assert again.encode() == message.encode()
    assert decoded(again.differences, encoding).tobytes() == again.differences.tobytes()


def test_each_client_has_its_own_scale() -> None:
    rows = decoded(np.array([[1.0, -3.0], [0.0, 0.5]], np.float32), SIGN)
    assert rows.tolist() == [[2.0, -2.0], [0.25, 0.25]]


def test_scalars_of_zero_have_the_scale_and_the_bits_zero() -> None:
    message = update(SIGN, np.array([0.0, -0.0], np.float32))
    assert message.encode()[-5:] == bytes(5)


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (struct.pack("<f", 1.0) + b"\x10", "bits beyond their count"),
        (struct.pack("<f", 0.0) + b"\x01", "of a scale of 0"),
        (struct.pack("<f", -1.0) + b"\x00", "must be >= 0"),
        (struct.pack("<f", np.nan) + b"\x00", "not finite"),
        (struct.pack("<f", 1.0), "truncated"),
        (struct.pack("<f", 1.0) + b"\x00\x00", "over-long"),
    ],
)
def test_malformed_signs_are_refused(tail: bytes, reason: str) -> None:
    body = update(SIGN, FOUR).encode()[:-5] + tail
    with pytest.raises(PayloadError, match=reason):
        Payload.decode(body)


def test_infinite_halves_and_unknown_encodings_are_refused() -> None:
    body = update(HALF, FOUR).encode()
    with pytest.raises(PayloadError, match="not finite"):
        Payload.decode(body[:-2] + struct.pack("<e", np.inf))
    at = len(body) - 4 * 2 - 3
    with pytest.raises(PayloadError, match=r"encoding: must be one of \[0, 1, 2\], got 3"):
        Payload.decode(body[:at] + b"\x03" + body[at + 1 :])


def test_messages_of_other_encodings_differ() -> None:
    message = update(SIGN, FOUR)
    assert message != replace(message, encoding=HALF)
    assert list(ENCODINGS) == ["float32", "float16", "sign"]
