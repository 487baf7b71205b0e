"""How many items went forward and backward through a model, counted where the passes are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Passes:
    """Items through the whole model; what a backward computes anew on its way is not a pass."""

    forward_items: int = 0
    backward_items: int = 0

    @property
    def items(self) -> int:
        """Passes in forwards: a backward counts as two, as in the usual estimate of its cost."""
        return self.forward_items + 2 * self.backward_items


_counting: ContextVar[Passes | None] = ContextVar("passes", default=None)


@contextmanager
def counting_passes() -> Iterator[Passes]:
    """Count the passes of losses and training steps inside the context; evaluations are none.

    >>> with counting_passes() as passes:
    ...     count_passes(forward=3)
    ...     count_passes(forward=2, backward=2)
    >>> passes
    Passes(forward_items=5, backward_items=2)
    """
    passes = Passes()
    before = _counting.set(passes)
    try:
        yield passes
    finally:
        _counting.reset(before)


def count_passes(*, forward: int, backward: int = 0) -> None:
    """Add items to the count that is being taken, if any."""
    passes = _counting.get()
    if passes is not None:
        passes.forward_items += forward
        passes.backward_items += backward
