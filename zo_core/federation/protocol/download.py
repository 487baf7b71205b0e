"""What a client fetches from the server: one long body at a time, the newest that was offered."""

from __future__ import annotations

from pathlib import Path

from zo_core.federation.protocol.actions import Action, ask
from zo_core.federation.protocol.pull import Pull
from zo_core.federation.protocol.transfer import Chunk, Key, Purpose, key_of


class Download:
    """Puts bodies together on disk.

    Args:
        spool: folder for the body on its way; it exists.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._pull: Pull | None = None
        self.last: Key | None = None  # the newest body that came whole

    @property
    def catching_up(self) -> bool:
        """Whether a catch-up is on its way."""
        return self._pull is not None and self._pull.assembly.key[2] == Purpose.CATCH_UP

    def take(self, chunk: Chunk, now_s: float) -> bytes | list[Action]:
        """Take a piece; return the whole body, or what to ask for next.

        Raises:
            PayloadError: the body is not what its sender cut.
        """
        pull = self._pull_of(chunk, now_s)
        if pull is None:
            return []
        if not pull.add(chunk, now_s):
            return ask(pull.offered_again(now_s) if chunk.index == 0 else None)
        if not pull.assembly.done:
            return ask(pull.ask())
        try:
            body = pull.assembly.body()
        finally:
            self.drop()
        self.last = key_of(chunk)
        return body

    def ask_again(self, now_s: float) -> list[Action]:
        """Ask for what is missing: the connection is new."""
        return ask(None if self._pull is None else self._pull.ask_again(now_s))

    def stalled(self, now_s: float) -> bool:
        """Whether no piece has come for long."""
        return self._pull is not None and self._pull.is_stalled(now_s)

    def drop(self) -> None:
        """Forget the body on its way."""
        if self._pull is not None:
            self._pull.assembly.close()
            self._pull = None

    def drop_model_before(self, round_index: int) -> None:
        """Forget the model of a round that is over."""
        if not self.catching_up and self._pull and self._pull.assembly.key[0] < round_index:
            self.drop()

    def _pull_of(self, chunk: Chunk, now_s: float) -> Pull | None:
        """Return the transfer of a piece; None for a piece of no body that was offered."""
        if self._pull is not None and self._pull.assembly.is_of(chunk):
            return self._pull
        if chunk.index > 0:
            return None
        self.drop()
        self._pull = Pull(chunk, self._spool / f"{chunk.purpose.name.lower()}.part", now_s)
        return self._pull
