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
) -> int:
    """Send a signal at a random instant of a step, until so many steps were interrupted.

    A step may be faster than the one that was timed, and end before its signal: then signals come
    sooner from there on.

    Returns:
        How many of the interrupted steps left another state than they may.
    """
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    seconds = min(_seconds(start(), step) for _ in range(3))
    interrupted = wrong = 0
    while interrupted < trials:
        subject = start()
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, seconds))
            step(subject)
            signal.setitimer(signal.ITIMER_REAL, 0)
            seconds *= 0.9
        except KeyboardInterrupt:
            interrupted += 1
            wrong += state(subject) not in allowed
    return wrong


def _seconds(subject: S, step: Callable[[S], object]) -> float:
    start = perf_counter()
    step(subject)
    return perf_counter() - start
