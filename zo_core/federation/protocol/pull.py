"""Receiving a long body: ask for windows of its pieces, for missing ones only.

A receiver never has more than a window of pieces on their way to it, so that no broker has to keep
more for it than that.  What does not come within a while is asked for again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from zo_core.federation.protocol.transfer import Chunk, Request, check_of, key_of
from zo_core.payloads.reader import PayloadError

WINDOW_BYTES = 1 << 20  # of one body that have been asked for and have not come
WINDOW_PIECES = (2, 16)  # at least and at most
STALL_S = (5.0, 60.0)  # after which they are asked for again; doubled up to the second
_QUIET_S = 1.0  # after which a repeated offer means that what was asked for is lost


class Assembly:
    """One body on its way, in a file: chunks may come in any order and more than once.

    Args:
        first: any chunk of it; the caller has checked its total.
        path: a file that is made, or overwritten.
    """

    def __init__(self, first: Chunk, path: Path) -> None:
        self.path = path
        self.key = key_of(first)
        self._shape = first.total, first.chunk_bytes
        self._total = first.total
        self._check = first.check
        self.missing = np.ones(-(-first.total // first.chunk_bytes), dtype=np.bool_)
        path.write_bytes(b"")

    def is_of(self, chunk: Chunk) -> bool:
        """Tell whether a chunk is a piece of this body."""
        return (key_of(chunk), (chunk.total, chunk.chunk_bytes)) == (self.key, self._shape)

    @property
    def done(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing.any()

    def add(self, chunk: Chunk) -> bool:
        """Write a piece where it belongs; False for one that was there."""
        if not self.missing[chunk.index]:
            return False
        with self.path.open("r+b") as file:
            file.seek(chunk.index * chunk.chunk_bytes)
            file.write(chunk.data)
        self.missing[chunk.index] = False
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


class Pull:
    """A body that this party receives by asking for its pieces.

    Args:
        offer: a piece of it.
        path: a file that is made, or overwritten.
        now_s: on this party's stopwatch.
    """

    def __init__(self, offer: Chunk, path: Path, now_s: float) -> None:
        self.assembly = Assembly(offer, path)
        low, high = WINDOW_PIECES
        self._window = min(max(WINDOW_BYTES // offer.chunk_bytes, low), high)
        self.stalls = 0  # since the last new piece
        self._request = Request(
            run_id=offer.run_id,
            round_index=offer.round_index,
            slot=offer.slot,
            purpose=offer.purpose,
            check=offer.check,
            pieces=np.empty(0, np.uint32),
        )
        self._asked: set[int] = set()
        self._heard_s = now_s

    def add(self, chunk: Chunk, now_s: float) -> bool:
        """Take a piece; False for one that was there."""
        if not self.assembly.add(chunk):
            return False
        self._asked.discard(chunk.index)
        self._heard_s, self.stalls = now_s, 0
        return True

    def ask(self, at_most: int = WINDOW_PIECES[1]) -> Request | None:
        """Ask for more pieces once half of the window is free; None where it is not."""
        window = min(self._window, at_most)
        if len(self._asked) > window // 2:
            return None
        missing = np.flatnonzero(self.assembly.missing)
        wanted = [int(index) for index in missing if int(index) not in self._asked]
        wanted = wanted[: window - len(self._asked)]
        self._asked.update(wanted)
        if not wanted:
            return None
        return replace(self._request, pieces=np.array(wanted, np.uint32))

    def ask_again(self, now_s: float, at_most: int = WINDOW_PIECES[1]) -> Request | None:
        """Ask for a window as if nothing were on its way."""
        self._asked.clear()
        self._heard_s = now_s
        return self.ask(at_most)

    def offered_again(self, now_s: float, at_most: int = WINDOW_PIECES[1]) -> Request | None:
        """Ask again where a repeated offer means that a connection is new."""
        quiet = now_s - self._heard_s >= _QUIET_S
        return self.ask_again(now_s, at_most) if quiet else None

    def is_stalled(self, now_s: float) -> bool:
        """Whether no piece has come for long; the next stall is noticed later than this one."""
        patience_s = min(STALL_S[0] * 2**self.stalls, STALL_S[1])
        if now_s - self._heard_s < patience_s:
            return False
        self.stalls += 1
        return True
