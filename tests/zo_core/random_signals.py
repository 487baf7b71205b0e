"""Steps that a signal interrupts at a random instant: each must leave a state that it may leave."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Collection
from time import perf_counter
from typing import TypeVar

S = TypeVar("S")


def by_random_signals(
    start: Callable[[], S],
    step: Callable[[S], object],
    state: Callable[[S], bytes],
    *,
    allowed: Collection[bytes],
    trials: int,
    rng: random.Random,
) -> tuple[int, int]:
    """Send a signal at a random instant of each of many steps.

    Returns:
        How many steps were interrupted, and how many of them left another state than they may.
    """
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    seconds = min(_seconds(start(), step) for _ in range(3))
    interrupted = wrong = 0
    for _ in range(trials):
        subject = start()
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, seconds))
            step(subject)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupted += 1
            wrong += state(subject) not in allowed
    return interrupted, wrong


def _seconds(subject: S, step: Callable[[S], object]) -> float:
    start = perf_counter()
    step(subject)
    return perf_counter() - start
