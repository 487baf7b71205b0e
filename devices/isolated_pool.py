"""Threads that each wait for a child of `run_isolated`, and the end of all of them at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from types import TracebackType


class Children:
    """Process groups that threads wait for, those of pools within them included.

    Args:
        outer: what these belong to as well; None for the outermost.
    """

    def __init__(self, outer: Children | None) -> None:
        self._outer = outer
        self._groups: set[int] = set()
        self._lock = threading.Lock()
        self._ended = False

    @contextmanager
    def holding(self, group: int) -> Iterator[None]:
        """Hold a child while it is waited for; it dies at once where the others were ended.

        Raises:
            KeyboardInterrupt: they were ended, so that no result is made of what was killed.
        """
        outer = nullcontext() if self._outer is None else self._outer.holding(group)
        with outer:
            with self._lock:
                self._groups.add(group)
                if self._ended:
                    kill_group(group)
            try:
                yield
            finally:
                with self._lock:
                    self._groups.discard(group)
            if self._ended:
                raise KeyboardInterrupt

    def end(self) -> None:
        """Kill all children, and any that is started from now on."""
        with self._lock:
            self._ended = True
            for group in self._groups:
                kill_group(group)


_ALL = Children(None)
waited_for: ContextVar[Children] = ContextVar("waited_for", default=_ALL)  # set by thread


class IsolatedPool(ThreadPoolExecutor):
    """Run isolated functions in threads; their processes end with the context, also on Ctrl-C.

    Take the results inside the context.

    Args:
        workers: number of threads.

    >>> from devices import run_isolated
    >>> with IsolatedPool(2) as pool:
    ...     [run.value for run in pool.map(run_isolated, ["math:sqrt", "math:exp"], [16, 0])]
    [4.0, 1.0]
    """

    def __init__(self, workers: int) -> None:
        self._children = Children(waited_for.get())
        super().__init__(workers, initializer=waited_for.set, initargs=(self._children,))

    def close(self) -> None:
        """Start no further child, kill those that run, and wait for their threads."""
        self._children.end()
        self.shutdown(cancel_futures=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


def kill_group(group: int) -> None:
    """Kill all of a process group that is left."""
    with suppress(ProcessLookupError):  # all of it has ended by itself
        os.killpg(group, signal.SIGKILL)
