"""Wall time of operations: of one call, and of several operations turn by turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

Operation = Callable[[], object]


def time_once(operation: Operation) -> float:
    """Time one call, in seconds."""
    started = time.perf_counter()
    operation()
    return time.perf_counter() - started


def take_turns(
    operations: Mapping[str, Operation], repeats: int, *, calls: Mapping[str, int] | None = None
) -> dict[str, list[float]]:
    """Time operations turn by turn, so that a disturbance affects all of them.

    Args:
        operations: by name, called in this order.
        repeats: turns; one more comes first, unmeasured.
        calls: calls per turn of those that are called more than once; the fastest counts.

    Returns:
        Seconds of each turn, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in operations}
    for turn in range(repeats + 1):
        for name, operation in operations.items():
            fastest = min(time_once(operation) for _ in range((calls or {}).get(name, 1)))
            if turn > 0:
                seconds[name].append(fastest)
    return seconds
