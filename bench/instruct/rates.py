"""The search of a variant's learning rate: a factor apart, until the best has worse neighbours.

A rate's score is the loss on the clients' hold-outs after a short run with a seed of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

_FACTOR = 4.0  # between learning rates
_MOST_RATES = 6


def next_rate(losses: Mapping[float, float], first: float) -> float | None:
    """Return the rate to try next; None where the best has a worse one on either side.

    Args:
        losses: of the rates tried, in the order tried; infinite where a run diverged.
        first: the rate to start at.

    >>> [next_rate({}, 1.0), next_rate({1.0: 5.0}, 1.0), next_rate({1.0: 5.0, 0.25: 6.0}, 1.0)]
    [1.0, 0.25, 4.0]
    """
    if len(losses) < 2:
        return first if not losses else first / _FACTOR
    best = best_rate(losses)
    if len(losses) < _MOST_RATES and best == min(losses):
        return best / _FACTOR
    if len(losses) < _MOST_RATES and best == max(losses):
        return best * _FACTOR
    return None


def best_rate(losses: Mapping[float, float]) -> float:
    """Return the rate with the lowest loss, the earlier one of equals."""
    return min(losses, key=losses.__getitem__)
