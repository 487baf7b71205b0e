"""Call a function again and again from a thread, for as long as a region lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Periodic:
    """Call `function` now, every `interval_s` seconds in a thread, and once more at the end.

    Args:
        function: What to call; it must not raise.
        interval_s: Seconds between calls, > 0.
    """

    def __init__(self, function: Callable[[], None], interval_s: float) -> None:
        self._function, self._interval_s = function, interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        function()
        self._thread.start()

    def end(self) -> None:
        """Stop the thread, then call the function for the last time."""
        self._ended.set()
        self._thread.join()
        self._function()

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            self._function()
