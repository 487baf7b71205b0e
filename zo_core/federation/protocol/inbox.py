"""What has arrived of the round in flight: scalars in memory, whole models on disk."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Protocol

import numpy as np

from zo_core.federation.protocol.messages import Reason
from zo_core.federation.protocol.transfer import Assembly, Chunk, Purpose
from zo_core.method import RoundContext
from zo_core.payloads.core import (
    DenseWeights,
    NotFiniteError,
    Payload,
    PayloadError,
    ScalarUpdate,
)
from zo_core.payloads.scalars import ScalarEncoding


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

    def add(self, slot: int, message: Payload) -> None:
        """Take a message of a slot that is in the cohort, or refuse it.

        Raises:
            Refused: it does not count; nothing has changed.
        """

    def updates(self) -> Iterator[Payload]:
        """Give the complete updates in ascending slot order, one at a time."""

    def close(self) -> None:
        """Forget everything."""


class ScalarInbox:
    """S scalars from each client.

    Args:
        directions: S.
        clip: largest |dL| that is believed.
        encoding: of the scalars.
    """

    def __init__(self, *, directions: int, clip: float, encoding: ScalarEncoding) -> None:
        self._directions, self._clip, self._encoding = directions, clip, encoding
        self._updates: dict[int, ScalarUpdate] = {}

    @property
    def arrived(self) -> Set[int]:
        """Slots whose update is complete, a view."""
        return self._updates.keys()

    def add(self, slot: int, message: Payload) -> None:
        """Take a client's scalars, or refuse them."""
        if not isinstance(message, ScalarUpdate) or message.encoding != self._encoding:
            raise Refused(Reason.MALFORMED)
        if slot in self._updates:
            raise Refused(Reason.DUPLICATE)
        if message.differences.size != self._directions:
            raise Refused(Reason.WRONG_COUNT)
        if np.abs(message.differences).max() > self._clip:
            raise Refused(Reason.OVER_CLIP)
        self._updates[slot] = message

    def updates(self) -> Iterator[Payload]:
        """Give the updates in ascending slot order."""
        for slot in sorted(self._updates):
            yield self._updates[slot]

    def close(self) -> None:
        """Forget everything."""
        self._updates.clear()


class DenseInbox:
    """A whole model from each client, spooled to disk as it comes.

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
        self._parts: dict[int, Assembly] = {}
        self._complete: set[int] = set()

    @property
    def arrived(self) -> Set[int]:
        """Slots whose update is complete, a view."""
        return self._complete

    def add(self, slot: int, message: Payload) -> None:
        """Take a piece of a client's model, or refuse it."""
        if not isinstance(message, Chunk) or message.purpose != Purpose.UPDATE:
            raise Refused(Reason.MALFORMED)
        if slot in self._complete:
            raise Refused(Reason.DUPLICATE)
        if message.total != self._total:
            raise Refused(Reason.WRONG_COUNT)
        part = self._parts.get(slot)
        if part is None or not part.is_of(message):  # the first, or sent anew after a restart
            part = self._parts[slot] = Assembly(message, self._path(slot))
        if not part.add(message):
            raise Refused(Reason.DUPLICATE)
        if part.done:
            self._check(slot, part)
            self._complete.add(slot)

    def updates(self) -> Iterator[Payload]:
        """Give the models in ascending slot order, one in memory at a time."""
        for slot in sorted(self._complete):
            yield Payload.decode(self._parts[slot].body())

    def close(self) -> None:
        """Remove the files."""
        for part in self._parts.values():
            part.close()
        self._parts.clear()
        self._complete.clear()

    def _check(self, slot: int, part: Assembly) -> None:
        """Read the whole model once; one that must not count is forgotten and may come anew.

        Raises:
            Refused: it is not this client's model of this round.
        """
        try:
            update = Payload.decode(part.body())
            if not isinstance(update, DenseWeights) or update.values.size != self._count:
                raise Refused(Reason.MALFORMED)
            if (update.run_id, update.slot) != (self._context.run_id, slot):
                raise Refused(Reason.WRONG_SLOT)
            if update.round_index != self._context.round_index:
                raise Refused(Reason.STALE)
            if update.samples != self._samples[slot]:
                raise Refused(Reason.WRONG_COUNT)
        except (Refused, PayloadError) as error:
            self._parts.pop(slot).close()
            if isinstance(error, Refused):
                raise
            kind = Reason.NOT_FINITE if isinstance(error, NotFiniteError) else Reason.MALFORMED
            raise Refused(kind) from error

    def _path(self, slot: int) -> Path:
        return self._folder / f"{self._context.round_index}-{slot}.part"
