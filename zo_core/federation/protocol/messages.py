"""What the round protocol says besides updates and results; kinds of :mod:`zo_core.payloads.core`.

| kind | who sends it | body after the 4-byte prefix |
|---|---|---|
| Hello | client | run, next round, digest, slot, flags |
| Welcome | server | run, next round, run seed, slot, length, JSON |
| Announce | server | run, round, digest, milliseconds |
| Resync | server | run, next round, digest, reason, bytes that follow |
| Refusal | server | run, round, reason |

Bodies too long for one message go as chunks, :mod:`zo_core.federation.protocol.transfer`.  Numbers
are little-endian.  A message's first two fields are its run id (0 where the sender does not know it
yet) and a round.  Importing this module teaches ``Payload.decode`` these kinds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from zo_core.payloads.encoding import (
    PREFIX,
    READERS,
    Payload,
    PayloadError,
    Reader,
    digest_bytes,
    prefix,
)

ANY_SLOT = 0xFFFFFFFF  # a client that leaves the choice of its slot to the server
NO_DIGEST = bytes(8)  # of a client that holds no weights
MAX_CONFIG_BYTES = 1 << 16


class Reason(IntEnum):
    """Why something was refused; counted by name and shown."""

    MALFORMED = 1  # not one well-formed message, or one that a server never gets
    NOT_FINITE = 2
    UNKNOWN_CLIENT = 3  # no Hello came before
    ROSTER_FULL = 4  # no slot is left, or not the one asked for
    WRONG_RUN = 5
    WRONG_SLOT = 6  # the slot of another identity
    STALE = 7  # a round that is over
    NOT_OPEN = 8  # a round that has not begun
    NOT_IN_COHORT = 9
    DUPLICATE = 10
    WRONG_COUNT = 11  # of scalars, weights or samples
    OVER_CLIP = 12
    WRONG_DIGEST = 13  # computed on other weights than the server's: a fork
    TOO_OFTEN = 14  # asked for the model again at once
    BEHIND = 15  # a Resync's reason: rounds were missed
    HAND_OVER = 16  # a Resync's reason: phase two begins


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hello(Payload):
    """A client says who it is to the run, and how far it has come."""

    KIND: ClassVar[int] = 32
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QI8sIB")
    digest: bytes = NO_DIGEST  # first 8 bytes, of the weights before round_index
    slot: int = ANY_SLOT  # the one wanted, or the one had
    high: bool  # it can do backprop
    fresh: bool = False  # its connection is new: what was sent to it may be lost

    def encode(self) -> bytes:
        """Return the body's bytes."""
        flags = self.high | self.fresh << 1
        fields = (self.run_id, self.round_index, digest_bytes(self.digest), self.slot, flags)
        return prefix(self.KIND) + self.HEAD.pack(*fields)

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        return PREFIX.size + self.HEAD.size

    @property
    def holds_weights(self) -> bool:
        """Whether the client has the model of its round."""
        return self.digest != NO_DIGEST

    @classmethod
    def read(cls, reader: Reader) -> Hello:
        """Parse what follows the prefix."""
        run_id, round_index, digest, slot, flags = reader.unpack(cls.HEAD)
        if flags > 3:
            raise PayloadError(f"a Hello's flags must be below 4, got {flags}")
        return cls(
            run_id=run_id,
            round_index=round_index,
            digest=digest,
            slot=slot,
            high=bool(flags & 1),
            fresh=bool(flags & 2),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Welcome(Payload):
    """The server gives a client its slot and the run's config."""

    KIND: ClassVar[int] = 33
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QIQII")
    run_seed: int
    slot: int
    plan: bytes  # JSON of :meth:`zo_core.federation.protocol.plan.Plan.to_json`

    def encode(self) -> bytes:
        """Return the body's bytes."""
        fields = (self.run_id, self.round_index, self.run_seed, self.slot, len(self.plan))
        return prefix(self.KIND) + self.HEAD.pack(*fields) + self.plan

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        return PREFIX.size + self.HEAD.size + len(self.plan)

    @classmethod
    def read(cls, reader: Reader) -> Welcome:
        """Parse what follows the prefix."""
        run_id, round_index, run_seed, slot, length = reader.unpack(cls.HEAD)
        if length > MAX_CONFIG_BYTES:
            raise PayloadError(f"a config has at most {MAX_CONFIG_BYTES} bytes, got {length}")
        plan = bytes(reader.take(length))
        return cls(run_id=run_id, round_index=round_index, run_seed=run_seed, slot=slot, plan=plan)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Announce(Payload):
    """The server opens a round; without time left it is a roll call, answered by Hello."""

    KIND: ClassVar[int] = 34
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QI8sI")
    digest: bytes  # first 8 bytes, of the weights before the round
    left_ms: int  # until the deadline

    def encode(self) -> bytes:
        """Return the body's bytes."""
        fields = (self.run_id, self.round_index, digest_bytes(self.digest), self.left_ms)
        return prefix(self.KIND) + self.HEAD.pack(*fields)

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        return PREFIX.size + self.HEAD.size

    @classmethod
    def read(cls, reader: Reader) -> Announce:
        """Parse what follows the prefix."""
        run_id, round_index, digest, left_ms = reader.unpack(cls.HEAD)
        return cls(run_id=run_id, round_index=round_index, digest=digest, left_ms=left_ms)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resync(Payload):
    """The server is about to send what brings a client to the weights before a round."""

    KIND: ClassVar[int] = 35
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QI8sBQ")
    digest: bytes  # first 8 bytes, of the weights that it ends at
    reason: Reason
    total: int  # bytes of the catch-up that follows in chunks

    def encode(self) -> bytes:
        """Return the body's bytes."""
        digest = digest_bytes(self.digest)
        head = self.HEAD.pack(self.run_id, self.round_index, digest, self.reason, self.total)
        return prefix(self.KIND) + head

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        return PREFIX.size + self.HEAD.size

    @classmethod
    def read(cls, reader: Reader) -> Resync:
        """Parse what follows the prefix."""
        run_id, round_index, digest, reason, total = reader.unpack(cls.HEAD)
        return cls(
            run_id=run_id,
            round_index=round_index,
            digest=digest,
            reason=_reason(reason),
            total=total,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refusal(Payload):
    """The server tells a client that it will not take part."""

    KIND: ClassVar[int] = 36
    HEAD: ClassVar[struct.Struct] = struct.Struct("<QIB")
    reason: Reason

    def encode(self) -> bytes:
        """Return the body's bytes."""
        return prefix(self.KIND) + self.HEAD.pack(self.run_id, self.round_index, self.reason)

    @property
    def num_bytes(self) -> int:
        """Length of the encoded body, bytes."""
        return PREFIX.size + self.HEAD.size

    @classmethod
    def read(cls, reader: Reader) -> Refusal:
        """Parse what follows the prefix."""
        run_id, round_index, reason = reader.unpack(cls.HEAD)
        return cls(run_id=run_id, round_index=round_index, reason=_reason(reason))


def _reason(value: int) -> Reason:
    if value not in Reason.__members__.values():
        raise PayloadError(f"a reason must be 1 to {len(Reason)}, got {value}")
    return Reason(value)


for _kind in (Hello, Welcome, Announce, Resync, Refusal):
    READERS[_kind.KIND] = _kind.read
