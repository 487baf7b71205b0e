"""What a method keeps between rounds: a typed object that it owns and others only carry.

Digest, snapshot and checkpoint see a state as its arrays, one after the other, so that a new
method's state needs no code there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, pairwise
from typing import Any, TypeVar

from zo_core.parameters import size_of

_FLOAT_BYTES = 4
S = TypeVar("S", bound="MethodState")


@dataclass(frozen=True)
class MethodState:
    """Base of a method's state: a frozen dataclass whose fields are flat float32 arrays.

    The order of the fields is the order of the bytes in digest, snapshot and checkpoint.  Methods
    write to the arrays in place.
    """

    def arrays(self) -> tuple[Any, ...]:
        """Return the arrays in the order of their fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    @property
    def num_bytes(self) -> int:
        """Size of all arrays."""
        return _FLOAT_BYTES * sum(map(size_of, self.arrays()))


@dataclass(frozen=True)
class RestoredState(MethodState):
    """A state from a snapshot or checkpoint, which its method has not read yet."""

    values: Any  # (n,), all arrays one after the other


def state_as(kind: type[S], state: MethodState | None, sizes: Sequence[int]) -> S | None:
    """Read a state as a method's own type.

    Args:
        kind: the method's state class.
        state: of this kind, or restored; None for none.
        sizes: elements of each of the kind's arrays.

    Returns:
        The state, views of a restored one's memory; None for none.

    Raises:
        ValueError: the state belongs to another method or model.
    """
    if state is None or isinstance(state, kind):
        return state
    if not isinstance(state, RestoredState) or size_of(state.values) != sum(sizes):
        raise ValueError(
            f"a {kind.__name__} must have {sum(sizes)} values, got {type(state).__name__} with "
            f"{sum(map(size_of, state.arrays()))}; use the run's own algorithm and model"
        )
    ends = accumulate(sizes, initial=0)
    return kind(*(state.values[start:end] for start, end in pairwise(ends)))
