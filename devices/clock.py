"""Wall clock that waits for the accelerator."""

from __future__ import annotations

import sys
import time


def synchronise() -> None:
    """Wait until the accelerator has finished its work.

    Waits only for CUDA, in a process that already uses it: torch is never imported here.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def now_s() -> float:
    """Return a monotonic wall-clock time in seconds, after synchronise().

    >>> now_s() <= now_s()
    True
    """
    synchronise()
    return time.perf_counter()
