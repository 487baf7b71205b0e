"""What the state machines ask of whoever drives them, and how they keep time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zo_core.federation.protocol.transfer import Body, Purpose, Request
from zo_core.method import RoundContext
from zo_core.payloads.core import DenseWeights, Payload

MAX_STEP_S = 10.0  # a driver ticks at least this often; what is longer is a jump of the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send one message."""

    to: str | None  # identity; None: all clients, or the server where a client sends
    body: bytes

    def bodies(self) -> Iterator[bytes]:
        """Return the messages one by one."""
        yield self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(Send):
    """Ask for pieces of a body; a transport that sends all pieces at once ignores it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Offer a long body by its first piece; the receiver asks for the others."""

    to: str | None
    body: Body

    def bodies(self) -> Iterator[bytes]:
        """Return the one message."""
        return self.body.pieces([0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """Send pieces that were asked for, after everything that is shorter."""

    to: str | None
    body: Body
    indices: tuple[int, ...]

    def bodies(self) -> Iterator[bytes]:
        """Return the messages one by one; each is made when it is asked for."""
        return self.body.pieces(self.indices)


def ask(request: Request | None, *, to: str | None = None) -> list[Action]:
    """Wrap a request of pieces, if there is one."""
    return [] if request is None else [Ask(to=to, body=request.encode())]


def hand_out(body: Body, request: Request, *, to: str | None = None) -> list[Action]:
    """Answer a request for pieces of a body."""
    return [Pieces(to=to, body=body, indices=tuple(map(int, request.pieces)))]


def reply(update: Payload, chunk_bytes: int) -> Send | Offer:
    """Say how a client's update is sent: scalars in one message, a model in chunks."""
    if not isinstance(update, DenseWeights):
        return Send(to=None, body=update.encode())
    body = Body(
        data=update.encode(),
        purpose=Purpose.UPDATE,
        run_id=update.run_id,
        round_index=update.round_index,
        slot=update.slot,
        chunk_bytes=chunk_bytes,
    )
    return Offer(to=None, body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Compute this client's update of a round and hand it back."""

    context: RoundContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The run is over."""

    reason: str | None  # None: all rounds are done


Action = Send | Offer | Pieces | Compute | Stop


class Stopwatch:
    """Seconds that have passed by a clock that may stand, jump back or jump ahead.

    A step backwards counts nothing and one of more than ``MAX_STEP_S`` counts that, so that a clock
    that is set, or a machine that slept, ends no round.
    """

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self.paused = False
        self._last_s: float | None = None

    def advance(self, now_s: float) -> None:
        """Note the time."""
        if self._last_s is not None and now_s > self._last_s and not self.paused:
            self.elapsed_s += min(now_s - self._last_s, MAX_STEP_S)
        self._last_s = now_s
