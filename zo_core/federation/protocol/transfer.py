"""Bodies too long for one message: cut into chunks that the receiver asks for.

The sender offers a body by its first chunk, which tells how long the body is.  The receiver asks
for the rest, a window of chunks at a time (:mod:`zo_core.federation.protocol.pull`), so that no
more waits in a broker than the receiver is ready to take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from zo_core.blake import blake2b
from zo_core.payloads.encoding import Payload, payload
from zo_core.payloads.fields import U32, U64, Array, Blob, Choice, DigestPrefix
from zo_core.payloads.reader import PayloadError

SERVER_SLOT = 0xFFFFFFFF  # the sender of what comes from the server
MIN_CHUNK_BYTES, MAX_CHUNK_BYTES = 1 << 6, 1 << 20
CHECK_BYTES = 8
MAX_PIECES = 64  # that one request may ask for


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


@payload(kind=38)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request(Payload):
    """The receiver of a body asks for some of its pieces; the first five fields name the body."""

    slot: U32  # of the body's sender
    purpose: Annotated[Purpose, Choice(Purpose)]
    check: DigestPrefix
    pieces: Annotated[npt.NDArray[np.uint32], Array(np.uint32, "H")]  # their indices

    def require_consistent(self) -> None:
        """Check that the request asks for some pieces, and not for too many."""
        if not 1 <= self.pieces.size <= MAX_PIECES:
            raise PayloadError(
                f"a request must ask for 1 to {MAX_PIECES} pieces, got {self.pieces.size}"
            )


def check_of(body: bytes) -> bytes:
    """Compute the check by which a transfer's chunks are known and verified."""
    return blake2b(body, digest_size=CHECK_BYTES).digest()


Key = tuple[int, int, int, bytes]  # round, sender's slot, purpose, check


def key_of(message: Chunk | Request) -> Key:
    """Return what names the body that a message belongs to."""
    return message.round_index, message.slot, message.purpose, message.check


@dataclass(frozen=True, kw_only=True, eq=False)
class Body:
    """What a sender keeps of a long body until its receivers have it."""

    data: bytes
    purpose: Purpose
    run_id: int
    round_index: int
    slot: int
    chunk_bytes: int

    @cached_property
    def check(self) -> bytes:
        """The whole body's check."""
        return check_of(self.data)

    @property
    def key(self) -> Key:
        """What names the body."""
        return self.round_index, self.slot, self.purpose, self.check

    @property
    def num_pieces(self) -> int:
        """The number of chunks."""
        return -(-len(self.data) // self.chunk_bytes)

    def piece(self, index: int) -> Chunk:
        """Cut one chunk."""
        start = index * self.chunk_bytes
        return Chunk(
            run_id=self.run_id,
            round_index=self.round_index,
            slot=self.slot,
            purpose=self.purpose,
            check=self.check,
            total=len(self.data),
            chunk_bytes=self.chunk_bytes,
            index=index,
            data=self.data[start : start + self.chunk_bytes],
        )

    def pieces(self, indices: Iterable[int] | None = None) -> Iterator[bytes]:
        """Encode chunks one at a time, each when it is asked for; None for all.

        Indices beyond the body's end are skipped.
        """
        for index in range(self.num_pieces) if indices is None else indices:
            if index < self.num_pieces:
                yield self.piece(int(index)).encode()
