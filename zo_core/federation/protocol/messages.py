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
    NOT_OFFERED = 17  # a piece of a body that nobody offered, or a request for one
    NAME_TAKEN = 18  # another client of the same name is in the run
    RUN_OVER = 19  # the client comes after the run's end


REFUSALS = {  # what a client's user reads
    Reason.ROSTER_FULL: "no slot is left, or not the one asked for with --slot",
    Reason.WRONG_RUN: "the server has a different run: start the client again",
    Reason.NAME_TAKEN: "another client of the same name is in the run: give each its own --name",
    Reason.RUN_OVER: "the run is over: start the next run's server before its clients",
}


@payload(kind=32, without=("instance",))
@payload(kind=39)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hello(Payload):
    """A client reports who it is to the run, and its next round."""

    digest: DigestPrefix = NO_DIGEST  # of the weights before round_index
    slot: U32 = ANY_SLOT  # the one wanted, or the one had
    instance: U32 = 0  # drawn by each program, so that two of one name differ; 0: not drawn
    flags: Annotated[int, Field("B", at_most=HIGH | FRESH)]

    @property
    def kind(self) -> int:
        """39, or 32 of a client whose transport gives each program a name of its own."""
        return 39 if self.instance else 32

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


@payload(kind=36, without=("instance",))
@payload(kind=40)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refusal(Payload):
    """The server refuses a client's part in the run."""

    reason: Annotated[Reason, Choice(Reason)]
    instance: U32 = 0  # of the client's Hello; 0: all

    @property
    def kind(self) -> int:
        """40, or 36 where it is for every program of the name."""
        return 40 if self.instance else 36
