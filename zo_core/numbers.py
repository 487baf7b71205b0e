"""Numbers as callers hand them over: Python's, NumPy's or torch's, or one ValueError."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any


def as_number(name: str, value: Any) -> float:
    """Return a number, or an array or tensor of one element, as a float.

    Args:
        name: of the argument, for the message.
        value: what was given.

    Raises:
        ValueError: it is something else.

    >>> as_number("lr", 1), as_number("lr", __import__("numpy").float32(0.5))
    (1.0, 0.5)
    """
    if isinstance(value, str | bytes) or math.prod(getattr(value, "shape", ())) != 1:
        raise _not_a_number(name, value)
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError):
        raise _not_a_number(name, value) from None


def as_count(name: str, value: Any) -> int:
    """Return a whole number >= 1, NumPy's included, as an int.

    Raises:
        ValueError: it is something else.
    """
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1:
        raise ValueError(f"{name} must be a whole number >= 1, got {value!r}")
    return count


def as_updates(updates: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return (seed, dL) pairs from any iterable of them; the seeds as they are.

    Raises:
        ValueError: it is not one.
    """
    expected = "updates must be (seed, dL) pairs, for example zip(seeds, differences)"
    try:
        pairs = [(seed, difference) for seed, difference in updates]
    except (TypeError, ValueError):
        raise ValueError(f"{expected}, got {_described(updates)}") from None
    if {type(difference) for _, difference in pairs} <= {float}:
        return pairs  # to look at each by itself is slow
    return [(seed, as_number("dL of an update", difference)) for seed, difference in pairs]


def _not_a_number(name: str, value: Any) -> ValueError:
    return ValueError(f"{name} must be one number, got {_described(value)}")


def _described(value: Any) -> str:
    if isinstance(value, str | bytes):
        return repr(value[:40])
    shape = getattr(value, "shape", None)
    return type(value).__name__ + ("" if shape is None else f" of shape {tuple(shape)}")
