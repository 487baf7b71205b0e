"""Wall time of operations: of one call, and of several operations turn by turn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

Operation = Callable[[], object]
_FEWEST_TURNS = 3  # measured ones: a median needs them


def time_once(operation: Operation) -> float:
    """Time one call, in seconds."""
    started = time.perf_counter()
    operation()
    return time.perf_counter() - started


def take_turns(
    operations: Mapping[str, Operation],
    repeats: int,
    *,
    calls: Mapping[str, int] | None = None,
    limit_s: float = math.inf,
) -> dict[str, list[float]]:
    """Time operations turn by turn, so that a disturbance affects all of them.

    Args:
        operations: by name, called in this order.
        repeats: turns; one more comes first, unmeasured.
        calls: calls per turn of those that are called more than once; the fastest counts.
        limit_s: seconds after which no turn starts, once there are three.

    Returns:
        Seconds of each turn, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in operations}
    started = time.perf_counter()
    for turn in range(repeats + 1):
        if turn > _FEWEST_TURNS and time.perf_counter() - started > limit_s:
            break
        for name, operation in operations.items():
            fastest = min(time_once(operation) for _ in range((calls or {}).get(name, 1)))
            if turn > 0:
                seconds[name].append(fastest)
    return seconds


def without_warm_up(seconds: Sequence[float]) -> list[float]:
    """Drop the leading samples that are slower than the rest of the run.

    A sample is warm-up while it and all before it exceed the 95th percentile of the run's second
    half by more than 5 %; at most half of the samples are.

    >>> without_warm_up([24.0, 23.0, 9.0, 8.0, 9.1, 9.0, 8.5, 24.0])
    [9.0, 8.0, 9.1, 9.0, 8.5, 24.0]
    """
    half = len(seconds) // 2
    later = sorted(seconds[half:])
    most = 1.05 * later[min(len(later) - 1, int(0.95 * (len(later) - 1)))]
    return list(seconds[next((i for i in range(half) if seconds[i] <= most), half) :])
