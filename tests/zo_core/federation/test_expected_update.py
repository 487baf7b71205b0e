"""A body recognized by its bytes counts exactly where it counts decoded."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from zo_core.federation.protocol.inbox import Refused, ScalarInbox, decode
from zo_core.payloads.core import ScalarUpdate
from zo_core.payloads.scalars import ENCODINGS, ScalarEncoding, decoded

CLIP = 2.0
SLOT = 0x01020304  # no two of its bytes are alike
BLANK = ScalarUpdate(
    run_id=0xABCDEF, round_index=7, slot=0, digest=b"8 bytes.", differences=np.zeros(3, np.float32)
)
EXPECTED = replace(BLANK, slot=SLOT, differences=np.array([0.5, -2.0, 0.0], np.float32))


def counts_decoded(body: bytes, clip: float = CLIP) -> bool:
    """Whether a body counts by its fields."""
    try:
        message = decode(body, most_bytes=1 << 10)
        ScalarInbox(BLANK, clip=clip).add(SLOT, message, 0.0)
    except Refused:
        return False
    assert isinstance(message, ScalarUpdate)
    names = ("run_id", "round_index", "slot", "digest")
    return all(getattr(message, name) == getattr(EXPECTED, name) for name in names)


@pytest.mark.parametrize("at", range(len(EXPECTED.encode())))
def test_a_body_with_one_byte_changed_is_taken_where_it_counts(at: int) -> None:
    for value in range(256):
        body = bytearray(EXPECTED.encode())
        body[at] = value
        taken = ScalarInbox(BLANK, clip=CLIP).take(SLOT, bytes(body))
        assert taken == counts_decoded(bytes(body)), value


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.5, -3e38])
def test_scalars_that_must_not_count_are_not_taken(bad: float) -> None:
    for index in range(3):
        scalars = EXPECTED.differences.copy()
        scalars[index] = bad
        body = replace(EXPECTED, differences=scalars).encode()
        assert not ScalarInbox(BLANK, clip=CLIP).take(SLOT, body)


@pytest.mark.parametrize("clip", [0.1, 0.3, 2.0])  # float32 rounds the first two up
def test_scalars_at_the_clip_are_taken_where_they_count(clip: float) -> None:
    at = np.float32(clip)
    for scalar in (at, np.nextafter(at, np.float32(0)), np.nextafter(at, np.float32(9))):
        for sign in (1, -1):
            differences = np.full(3, sign * scalar, np.float32)
            body = replace(EXPECTED, differences=differences).encode()
            taken = ScalarInbox(BLANK, clip=clip).take(SLOT, body)
            assert taken == counts_decoded(body, clip), (scalar, sign)


def test_bodies_of_other_lengths_are_not_taken() -> None:
    body, draw = EXPECTED.encode(), random.Random(0)
    for length in range(len(body)):
        assert not ScalarInbox(BLANK, clip=CLIP).take(SLOT, body[:length])
    for extra in range(1, 9):
        assert not ScalarInbox(BLANK, clip=CLIP).take(SLOT, body + draw.randbytes(extra))


def test_what_is_taken_is_what_decoding_gives_and_counts_once() -> None:
    inbox = ScalarInbox(BLANK, clip=CLIP)
    assert inbox.take(SLOT, EXPECTED.encode())
    assert not inbox.take(SLOT, EXPECTED.encode())
    with pytest.raises(Refused, match="DUPLICATE"):
        inbox.add(SLOT, EXPECTED, 0.0)
    assert list(inbox.updates()) == [EXPECTED]


@pytest.mark.parametrize("encoding", [e for e in ENCODINGS.values() if e])
def test_scalars_in_fewer_bytes_are_decoded(encoding: ScalarEncoding) -> None:
    blank = replace(BLANK, encoding=encoding)
    update = replace(EXPECTED, encoding=encoding, differences=decoded(BLANK.differences, encoding))
    inbox = ScalarInbox(blank, clip=CLIP)
    assert not inbox.take(SLOT, update.encode())
    inbox.add(SLOT, decode(update.encode(), most_bytes=1 << 10), 0.0)
    assert inbox.arrived == {SLOT}
