"""Messages: what is encoded is decoded, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zo_core.federation.protocol.messages import (
    FRESH,
    HIGH,
    MAX_CONFIG_BYTES,
    Announce,
    Hello,
    Reason,
    Refusal,
    Resync,
    Welcome,
)
from zo_core.federation.protocol.pull import Assembly
from zo_core.federation.protocol.transfer import Body, Chunk, Purpose, Request, check_of
from zo_core.payloads.core import Payload, PayloadError, ScalarUpdate

RUN = {"run_id": (1 << 64) - 1, "round_index": 7}
CHUNK = Chunk(
    slot=3,
    purpose=Purpose.UPDATE,
    check=bytes(8),
    total=130,
    chunk_bytes=64,
    index=2,
    data=b"ab",
    **RUN,
)
MESSAGES = [
    Hello(digest=b"12345678", slot=4, flags=HIGH, **RUN),
    Hello(run_id=0, round_index=0, flags=FRESH),
    Welcome(run_seed=9, slot=1, plan=b'{"a":1}', **RUN),
    Announce(digest=b"abcdefgh", left_ms=60_000, **RUN),
    Resync(digest=b"abcdefgh", reason=Reason.BEHIND, total=1 << 40, **RUN),
    Refusal(reason=Reason.ROSTER_FULL, **RUN),
    CHUNK,
    Request(slot=3, purpose=Purpose.MODEL, check=bytes(8), pieces=np.arange(3, dtype="u4"), **RUN),
]


def name(message: Payload) -> str:
    return type(message).__name__


@pytest.mark.parametrize("message", MESSAGES, ids=name)
def test_a_message_survives_its_encoding(message: Payload) -> None:
    body = message.encode()
    assert Payload.decode(body) == message
    assert message.num_bytes == len(body)


@pytest.mark.parametrize("message", MESSAGES, ids=name)
def test_a_message_cut_or_continued_anywhere_is_refused(message: Payload) -> None:
    body = message.encode()
    for size in range(len(body)):
        with pytest.raises(PayloadError):
            Payload.decode(body[:size])
    with pytest.raises(PayloadError, match="over-long"):
        Payload.decode(body + b"\0")


def altered(message: Payload, at: int, value: bytes) -> bytes:
    body = bytearray(message.encode())
    body[at : at + len(value)] = value
    return bytes(body)


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (altered(MESSAGES[0], -1, b"\x04"), "Hello.flags: must be at most 3, got 4"),
        (
            altered(MESSAGES[4], 4 + 20, b"\x00"),
            r"Resync.reason: must be one of \[1, 2, .*, 19\], got 0",
        ),
        (altered(CHUNK, 4 + 16, b"\x09"), r"Chunk.purpose: must be one of \[1, 2, 3\], got 9"),
        (altered(CHUNK, 4 + 33, (63).to_bytes(4, "little")), "a chunk has 64 to 1048576 bytes"),
        (altered(CHUNK, 4 + 37, (3).to_bytes(4, "little")), "lies within its body"),
        (altered(MESSAGES[2], 4 + 24, (1 << 30).to_bytes(4, "little")), str(MAX_CONFIG_BYTES)),
    ],
)
def test_fields_out_of_their_bounds_are_refused(body: bytes, match: str) -> None:
    with pytest.raises(PayloadError, match=match):
        Payload.decode(body)


@pytest.mark.parametrize("digest", [b"", b"1234567", bytes(32)])
def test_a_digest_field_holds_eight_bytes(digest: bytes) -> None:
    update = ScalarUpdate(slot=0, digest=digest, differences=np.zeros(1, np.float32), **RUN)
    with pytest.raises(ValueError, match=f"digest must be 8 bytes, got {len(digest)}"):
        update.encode()
    with pytest.raises(ValueError, match="digest must be 8 bytes"):
        Announce(digest=digest, left_ms=0, **RUN).encode()


def pieces(data: bytes, purpose: Purpose) -> list[Chunk]:
    body = Body(data=data, purpose=purpose, slot=1, chunk_bytes=64, **RUN)
    return [body.piece(index) for index in range(body.num_pieces)]


@pytest.mark.parametrize("size", [1, 63, 64, 65, 1000])
def test_a_body_is_put_together_from_chunks_in_any_order(tmp_path: Path, size: int) -> None:
    body = np.random.default_rng(size).bytes(size)
    chunks = pieces(body, Purpose.CATCH_UP)
    assembly = Assembly(chunks[-1], tmp_path / "part")
    for chunk in reversed(chunks):
        assert not assembly.done
        assert assembly.is_of(chunk)
        assert assembly.add(chunk)
        assert not assembly.add(chunk)
    assert assembly.done
    assert assembly.body() == body
    assembly.close()
    assert not (tmp_path / "part").exists()


def test_a_body_that_was_altered_is_refused(tmp_path: Path) -> None:
    (chunk,) = pieces(b"x" * 60, Purpose.MODEL)
    assembly = Assembly(chunk, tmp_path / "part")
    assembly.add(chunk)
    (tmp_path / "part").write_bytes(b"y" * 60)
    with pytest.raises(PayloadError, match="does not have their check"):
        assembly.body()
    assert chunk.check == check_of(b"x" * 60)
