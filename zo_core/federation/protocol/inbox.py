"""What has arrived of the round in flight: scalars in memory, whole models on disk."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Protocol

import numpy as np

from zo_core.federation.protocol.expected_update import ExpectedUpdate
from zo_core.federation.protocol.messages import Reason
from zo_core.federation.protocol.pull import Pull
from zo_core.federation.protocol.transfer import Chunk, Purpose, Request
from zo_core.method import RoundContext
from zo_core.payloads.core import (
    DenseWeights,
    NotFiniteError,
    Payload,
    PayloadError,
    ScalarUpdate,
)
from zo_core.payloads.scalars import ScalarEncoding

MAX_ON_WAY = 64  # pieces of all uploads of a round that have been asked for and have not come


class Refused(ValueError):  # noqa: N818 - it is no error of the program
    """A message that must not count."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


def decode(body: bytes, *, most_bytes: int) -> Payload:
    """Parse a message that came over a wire.

    Raises:
        Refused: it is longer than any may be, malformed, or not finite.
    """
    if len(body) > most_bytes:
        raise Refused(Reason.MALFORMED)
    try:
        return Payload.decode(body)
    except NotFiniteError:
        raise Refused(Reason.NOT_FINITE) from None
    except PayloadError:
        raise Refused(Reason.MALFORMED) from None


class Inbox(Protocol):
    """Updates of one round; each slot's first counts."""

    @property
    def arrived(self) -> Set[int]:
        """Slots whose update is complete, a view."""

    def take(self, slot: int, body: bytes) -> bool:
        """Take a body of a slot if it is just what is expected; all others are to be decoded."""

    def add(self, slot: int, message: Payload, now_s: float) -> Request | None:
        """Take a message of a slot that is in the cohort, or refuse it.

        Returns:
            What to ask that client for next.

        Raises:
            Refused: it does not count; nothing has changed.
        """

    def stalled(self, now_s: float) -> list[tuple[int, Request]]:
        """Ask slots again whose pieces have not come for long."""

    def updates(self) -> Iterator[Payload]:
        """Give the complete updates in ascending slot order, one at a time."""

    def close(self) -> None:
        """Forget everything."""


class ScalarInbox:
    """S scalars from each client.

    Args:
        blank: what slot 0 would send, with any scalars.
        clip: largest |dL| that is believed.
    """

    def __init__(self, blank: ScalarUpdate, *, clip: float) -> None:
        self._blank, self._clip = blank, clip
        plain = blank.encoding == ScalarEncoding.FLOAT32 and not blank.has_loss
        self._expected = ExpectedUpdate(blank, clip) if plain else None
        self._updates: dict[int, ScalarUpdate] = {}

    @property
    def arrived(self) -> Set[int]:
        """Slots whose update is complete, a view."""
        return self._updates.keys()

    def take(self, slot: int, body: bytes) -> bool:
        """Take a body of a slot if it is just what is expected."""
        if self._expected is None or slot in self._updates:
            return False
        update = self._expected.read(body, slot)
        if update is None:
            return False
        self._updates[slot] = update
        return True

    def add(self, slot: int, message: Payload, now_s: float) -> None:
        """Take a client's scalars, or refuse them."""
        if not isinstance(message, ScalarUpdate) or not self._has_form(message):
            raise Refused(Reason.MALFORMED)
        if slot in self._updates:
            raise Refused(Reason.DUPLICATE)
        if message.differences.size != self._blank.differences.size:
            raise Refused(Reason.WRONG_COUNT)
        if np.abs(message.differences).max() > self._clip:
            raise Refused(Reason.OVER_CLIP)
        self._updates[slot] = message

    def _has_form(self, message: ScalarUpdate) -> bool:
        """Whether a message has the parts and the encoding of the run's."""
        return message.kind == self._blank.kind and message.encoding == self._blank.encoding

    def stalled(self, now_s: float) -> list[tuple[int, Request]]:
        """Ask nobody: scalars come in one message."""
        return []

    def updates(self) -> Iterator[Payload]:
        """Give the updates in ascending slot order."""
        for slot in sorted(self._updates):
            yield self._updates[slot]

    def close(self) -> None:
        """Forget everything."""
        self._updates.clear()


class DenseInbox:
    """A whole model from each client, spooled to disk as it comes.

    All uploads together have about ``MAX_ON_WAY`` pieces on their way, so that they fit into a
    broker's queue for the server.

    Args:
        context: the round.
        count: values of a model.
        folder: where the files go; it exists.
    """

    def __init__(self, context: RoundContext, *, count: int, folder: Path) -> None:
        self._context = context
        self._samples = dict(zip(context.cohort, context.samples, strict=True))
        self._count, self._folder = count, folder
        self._total = DenseWeights(
            run_id=0, round_index=0, slot=0, samples=0, values=np.empty(0, np.float32)
        ).num_bytes + (4 * count)
        self._pulls: dict[int, Pull] = {}
        self._complete: set[int] = set()

    @property
    def arrived(self) -> Set[int]:
        """Slots whose update is complete, a view."""
        return self._complete

    def take(self, slot: int, body: bytes) -> bool:
        """Take nothing: pieces are to be decoded."""
        return False

    def add(self, slot: int, message: Payload, now_s: float) -> Request | None:
        """Take a piece of a client's model, or refuse it; ask for more."""
        if not isinstance(message, Chunk) or message.purpose != Purpose.UPDATE:
            raise Refused(Reason.MALFORMED)
        if slot in self._complete:
            raise Refused(Reason.DUPLICATE)
        if message.total != self._total:
            raise Refused(Reason.WRONG_COUNT)
        pull, window = self._pull_of(slot, message, now_s), self._window()
        if not pull.add(message, now_s):
            if message.index > 0:
                raise Refused(Reason.DUPLICATE)
            return pull.offered_again(now_s, window)
        if not pull.assembly.done:
            return pull.ask(window)
        self._check(slot, pull)
        self._complete.add(slot)
        return None

    def stalled(self, now_s: float) -> list[tuple[int, Request]]:
        """Ask slots again whose pieces have not come for long."""
        waiting = [slot for slot in self._pulls if slot not in self._complete]
        stalled = [slot for slot in waiting if self._pulls[slot].is_stalled(now_s)]
        asked = ((slot, self._pulls[slot].ask_again(now_s, self._window())) for slot in stalled)
        return [(slot, request) for slot, request in asked if request is not None]

    def updates(self) -> Iterator[Payload]:
        """Give the models in ascending slot order, one in memory at a time."""
        for slot in sorted(self._complete):
            yield Payload.decode(self._pulls[slot].assembly.body())

    def close(self) -> None:
        """Remove the files."""
        for pull in self._pulls.values():
            pull.assembly.close()
        self._pulls.clear()
        self._complete.clear()

    def _pull_of(self, slot: int, chunk: Chunk, now_s: float) -> Pull:
        """Return the slot's upload; an offer of another body begins a new one."""
        pull = self._pulls.get(slot)
        if pull is not None and pull.assembly.is_of(chunk):
            return pull
        if chunk.index > 0:
            raise Refused(Reason.NOT_OFFERED)
        self._pulls[slot] = Pull(chunk, self._path(slot), now_s)
        return self._pulls[slot]

    def _window(self) -> int:
        """Count the pieces that may be on their way of each upload."""
        uploads = len(self._pulls) - len(self._complete)
        return max(MAX_ON_WAY // max(uploads, 1), 1)

    def _check(self, slot: int, pull: Pull) -> None:
        """Read the whole model once; one that must not count is forgotten and may come anew.

        Raises:
            Refused: it is not this client's model of this round.
        """
        try:
            update = Payload.decode(pull.assembly.body())
            if not isinstance(update, DenseWeights) or update.values.size != self._count:
                raise Refused(Reason.MALFORMED)
            if (update.run_id, update.slot) != (self._context.run_id, slot):
                raise Refused(Reason.WRONG_SLOT)
            if update.round_index != self._context.round_index:
                raise Refused(Reason.STALE)
            if update.samples != self._samples[slot]:
                raise Refused(Reason.WRONG_COUNT)
        except (Refused, PayloadError) as error:
            self._pulls.pop(slot).assembly.close()
            if isinstance(error, Refused):
                raise
            kind = Reason.NOT_FINITE if isinstance(error, NotFiniteError) else Reason.MALFORMED
            raise Refused(kind) from error

    def _path(self, slot: int) -> Path:
        return self._folder / f"{self._context.round_index}-{slot}.part"
