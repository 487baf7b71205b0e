"""Live tensor storage over the operators of a region, reduced to a few points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

POINTS = 60


@dataclass(slots=True)
class TensorTimeline:
    """Collect the live storage after each operator, with the phase that the operator belongs to."""

    _moments: list[tuple[int, str]] = field(default_factory=list)

    def add(self, live_bytes: int, *, in_backward: bool, has_grad: bool) -> None:
        """Note one operator.

        Args:
            live_bytes: the sum of live storage after it.
            in_backward: whether it is part of a backward pass.
            has_grad: whether autograd records; an update after a backward pass does not.
        """
        if in_backward:
            phase = "backward"
        elif has_grad or not self._has_backward():
            phase = "forward"
        else:
            phase = "update"
        self._moments.append((live_bytes, phase))

    def points(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Return the largest storage of each equal part, at most POINTS, and the parts' phases."""
        parts = list(_parts(self._moments))
        peaks = [max(part) for part in parts]
        return tuple(live for live, _ in peaks), tuple(phase for _, phase in peaks)

    def _has_backward(self) -> bool:
        """Return whether a backward pass came before; it is the phase before an update."""
        return bool(self._moments) and self._moments[-1][1] != "forward"


def _parts(moments: Sequence[tuple[int, str]]) -> list[Sequence[tuple[int, str]]]:
    count = min(POINTS, len(moments))
    ends = [len(moments) * (index + 1) // count for index in range(count)]
    return [moments[start:end] for start, end in zip([0, *ends], ends, strict=False)]
