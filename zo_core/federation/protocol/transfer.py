"""Bodies too long for one message: cut into chunks, put together again on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from zo_core.payloads.encoding import Payload, payload
from zo_core.payloads.fields import U32, U64, Blob, Choice, DigestPrefix
from zo_core.payloads.reader import PayloadError

SERVER_SLOT = 0xFFFFFFFF  # the sender of what comes from the server
MIN_CHUNK_BYTES, MAX_CHUNK_BYTES = 1 << 6, 1 << 20
CHECK_BYTES = 8


class Purpose(IntEnum):
    """What the body is that chunks are cut from."""

    UPDATE = 1  # a DenseWeights of a client
    MODEL = 2  # a DenseWeights of the server
    CATCH_UP = 3  # a snapshot and results, each with its length


def _piece_bytes(known: Any) -> int:
    size, index, total = known.chunk_bytes, known.index, known.total
    if not MIN_CHUNK_BYTES <= size <= MAX_CHUNK_BYTES or index * size >= total:
        raise PayloadError(
            f"a chunk has {MIN_CHUNK_BYTES} to {MAX_CHUNK_BYTES} bytes and lies within its "
            f"body, got piece {index} of {size} bytes, of {total}"
        )
    return int(min(size, total - index * size))


@payload(kind=37)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk(Payload):
    """A piece of a body too long for one message."""

    slot: U32  # of the sender
    purpose: Annotated[Purpose, Choice(Purpose)]
    check: DigestPrefix  # BLAKE2b-64 of the whole body, which also tells transfers apart
    total: U64  # bytes of the whole body
    chunk_bytes: U32  # bytes of each piece but the last
    index: U32
    data: Annotated[bytes, Blob(_piece_bytes)]


def check_of(body: bytes) -> bytes:
    """Compute what a transfer's chunks are known by and checked against."""
    return hashlib.blake2b(body, digest_size=CHECK_BYTES).digest()


def cut(
    body: bytes, purpose: Purpose, *, run_id: int, round_index: int, slot: int, chunk_bytes: int
) -> Iterator[Chunk]:
    """Cut a body into chunks, one at a time."""
    check = check_of(body)
    for index, start in enumerate(range(0, len(body), chunk_bytes)):
        yield Chunk(
            run_id=run_id,
            round_index=round_index,
            slot=slot,
            purpose=purpose,
            check=check,
            total=len(body),
            chunk_bytes=chunk_bytes,
            index=index,
            data=body[start : start + chunk_bytes],
        )


class Assembly:
    """One body on its way, in a file: chunks may come in any order and more than once.

    Args:
        first: any chunk of it; whoever calls has checked that its total may be.
        path: a file that is made, or overwritten.
    """

    def __init__(self, first: Chunk, path: Path) -> None:
        self.path = path
        self._head = _transfer(first)
        self._total = first.total
        self._check = first.check
        self._missing = np.ones(-(-first.total // first.chunk_bytes), dtype=np.bool_)
        path.write_bytes(b"")

    def is_of(self, chunk: Chunk) -> bool:
        """Tell whether a chunk is a piece of this body."""
        return _transfer(chunk) == self._head

    @property
    def done(self) -> bool:
        """Whether nothing is missing."""
        return not self._missing.any()

    def add(self, chunk: Chunk) -> bool:
        """Write a piece where it belongs; False for one that was there."""
        if not self._missing[chunk.index]:
            return False
        with self.path.open("r+b") as file:
            file.seek(chunk.index * chunk.chunk_bytes)
            file.write(chunk.data)
        self._missing[chunk.index] = False
        return True

    def body(self) -> bytes:
        """Return the whole body.

        Raises:
            PayloadError: it is not what its sender cut.
        """
        body = self.path.read_bytes()
        if len(body) != self._total or check_of(body) != self._check:
            raise PayloadError("a body put together from chunks does not have their check")
        return body

    def close(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


def _transfer(chunk: Chunk) -> tuple[int, int, int, int, int, bytes]:
    """What all chunks of one transfer share."""
    return (
        chunk.round_index,
        chunk.slot,
        chunk.purpose,
        chunk.total,
        chunk.chunk_bytes,
        chunk.check,
    )
