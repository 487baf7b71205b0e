"""The progress of a server's run: a live table, or lines if there is no terminal."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from zo_core.federation.protocol.open_round import RoundSummary

if TYPE_CHECKING:
    from zo_core.federation.protocol.server import Server

_LAST = 8  # rounds shown
_LINE_EVERY = 10  # rounds, where there is no terminal
_REFRESH_S = 0.2


class RoundTable:
    """Shows a server's rounds.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._notes: deque[RoundSummary] = deque(maxlen=_LAST)
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown_s = 0.0
        self.server: Server | None = None

    def __enter__(self) -> RoundTable:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._show()
            self._live.stop()

    def note(self, note: RoundSummary) -> None:
        """Add a finished round."""
        self._notes.append(note)
        missed = note.num_accepted < note.cohort
        if self._live is None and (missed or note.round_index % _LINE_EVERY == 0):
            self._console.print(
                f"round {note.round_index} {note.method}:"
                f" {note.num_accepted} of {note.cohort} clients, {note.elapsed_s:.2f} s"
            )

    def refresh(self) -> None:
        """Show the progress, at most a few times per second."""
        now = time.monotonic()
        if self._live is not None and now - self._shown_s >= _REFRESH_S:
            self._shown_s = now
            self._show()

    def _show(self) -> None:
        if self._live is not None and self.server is not None:
            self._live.update(Group(self._rounds(), self._state(self.server)), refresh=True)

    def _rounds(self) -> Table:
        table = Table("round", "method", "clients", "seconds")
        for note in self._notes:
            table.add_row(
                str(note.round_index),
                note.method,
                f"{note.num_accepted} of {note.cohort}",
                f"{note.elapsed_s:.2f}",
            )
        return table

    def _state(self, server: Server) -> str:
        text = (
            f"round {server.next_round} of {server.plan.rounds}, {len(server.arrived)} updates "
            f"received, {len(server.online)} of {server.plan.config.clients} clients online"
        )
        return f"{text}\n{refusals(server)}"


def refusals(server: Server) -> str:
    """Write what was refused, by reason."""
    parts = [
        f"{count} {reason.name.lower().replace('_', ' ')}"
        for reason, count in sorted(server.refused.items())
    ]
    return "refused: " + (", ".join(parts) or "nothing")
