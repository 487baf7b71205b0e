"""What the round protocol says besides updates and results, and in which bytes.

Bodies too long for one message go as chunks, :mod:`zo_core.federation.protocol.transfer`.  A
message's first two fields are its run id (0 where the sender does not know it yet) and a round.
Importing this module teaches ``Payload.decode`` these kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from zo_core.payloads.encoding import Payload, payload
from zo_core.payloads.fields import U32, U64, Blob, Choice, DigestPrefix, Field

ANY_SLOT = 0xFFFFFFFF  # a client that leaves the choice of its slot to the server
NO_DIGEST = bytes(8)  # of a client that holds no weights
MAX_CONFIG_BYTES = 1 << 16
HIGH, FRESH = 1, 2  # bits of a Hello's flags


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


@payload(kind=32)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hello(Payload):
    """A client reports who it is to the run, and its next round."""

    digest: DigestPrefix = NO_DIGEST  # of the weights before round_index
    slot: U32 = ANY_SLOT  # the one wanted, or the one had
    flags: Annotated[int, Field("B", at_most=HIGH | FRESH)]

    @property
    def holds_weights(self) -> bool:
        """Whether the client has the model of its round."""
        return self.digest != NO_DIGEST

    @property
    def high(self) -> bool:
        """Whether the client can do backprop."""
        return bool(self.flags & HIGH)

    @property
    def fresh(self) -> bool:
        """Whether the client's connection is new: what was sent to it may be lost."""
        return bool(self.flags & FRESH)


@payload(kind=33)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Welcome(Payload):
    """The server gives a client its slot and the run's config; round_index is the next round."""

    run_seed: U64
    slot: U32
    # JSON of :meth:`zo_core.federation.protocol.plan.Plan.to_json`
    plan: Annotated[bytes, Blob("I", at_most=MAX_CONFIG_BYTES)]


@payload(kind=34)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Announce(Payload):
    """The server opens a round; without time left it is a roll call, answered by Hello."""

    digest: DigestPrefix  # of the weights before the round
    left_ms: U32  # until the deadline


@payload(kind=35)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resync(Payload):
    """The server is about to send what brings a client to the weights before a round."""

    digest: DigestPrefix  # of the weights that it ends at
    reason: Annotated[Reason, Choice(Reason)]
    total: U64  # bytes of the catch-up that follows in chunks


@payload(kind=36)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refusal(Payload):
    """The server refuses a client's part in the run."""

    reason: Annotated[Reason, Choice(Reason)]
