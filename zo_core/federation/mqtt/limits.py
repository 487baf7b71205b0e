"""What the embedded broker grants its clients, and the log of what it turned away."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass

_LOG = logging.getLogger("zobench.broker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what clients can make the broker do; the run's own server is not bound by them."""

    packet_bytes: int = (1 << 20) + (1 << 12)  # of one packet: the longest chunk and its head
    first_packet_bytes: int = 1 << 12  # before a client has said who it is
    clients: int = 1024  # connections
    buffered_bytes: int = 32 << 20  # of all clients together, read or to be sent
    queued_bytes: int = 8 << 20  # that wait to be sent to one client
    messages_per_s: float = 1000.0  # that are read from one client
    connect_s: float = 10.0  # for a client to say who it is


class TurnedAway:
    """Counts what was refused by reason, and logs the counts in one line, now and then.

    Args:
        every_s: least seconds between two lines.
    """

    def __init__(self, every_s: float = 10.0) -> None:
        self.counts: Counter[str] = Counter()
        self._every_s = every_s
        self._logged, self._logged_s = 0, -every_s

    def note(self, reason: str) -> None:
        """Count a refusal."""
        self.counts[reason] += 1

    def log(self) -> None:
        """Log the counts, if there are new ones and the last line is long past."""
        now_s = time.monotonic()
        if self.counts.total() == self._logged or now_s - self._logged_s < self._every_s:
            return
        self._logged, self._logged_s = self.counts.total(), now_s
        parts = ", ".join(f"{count} {reason}" for reason, count in sorted(self.counts.items()))
        _LOG.warning("the broker turned away: %s", parts)


class Bucket:
    """Lets so many messages per second through, and a second's worth at once.

    Args:
        per_s: messages per second.
        now_s: of the caller's clock.
    """

    def __init__(self, per_s: float, now_s: float) -> None:
        self._per_s, self._left, self._now_s = per_s, per_s, now_s

    def take(self, now_s: float) -> float:
        """Take one message; return the seconds to wait before the next."""
        self._left = min(self._per_s, self._left + (now_s - self._now_s) * self._per_s) - 1
        self._now_s = now_s
        return max(0.0, -self._left / self._per_s)
