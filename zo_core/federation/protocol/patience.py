"""When a client speaks unasked: at most once a second, and when the server has been silent."""

from __future__ import annotations

ASK_EVERY_S = 1.0  # Hellos at most
SILENCE_S = (10.0, 60.0)  # after which the client asks; doubled up to the second, unanswered


class Patience:
    """Counts a client's silence; all times are on its stopwatch."""

    def __init__(self) -> None:
        self.silences = 0  # since the last piece of a body
        self._asked_s: float | None = None
        self._heard_s = 0.0
        self._limit_s = SILENCE_S[0]

    def heard(self, now_s: float) -> None:
        """Note a message of the server."""
        self._heard_s, self._limit_s = now_s, SILENCE_S[0]

    def busy(self, now_s: float) -> None:
        """Note that what was said is still on its way."""
        self._heard_s = now_s

    def runs_out(self, now_s: float) -> bool:
        """Whether the server has been silent for long; the next silence is longer."""
        if now_s - self._heard_s < self._limit_s:
            return False
        self._heard_s = now_s
        self._limit_s = min(2 * self._limit_s, SILENCE_S[1])
        self.silences += 1
        return True

    def may_ask(self, now_s: float) -> bool:
        """Whether a Hello may go out now; it is noted as sent."""
        if self._asked_s is not None and now_s - self._asked_s < ASK_EVERY_S:
            return False
        self._asked_s = now_s
        return True

    def reset(self) -> None:
        """Let the next Hello go out at once."""
        self._asked_s = None
