"""What the lists of the last rounds follow from: kept by every replica, so that it can take back a
part of each round's step without a second copy of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.payloads.fields import Floats
from zo_core.replica import gather
from zo_core.state import MethodState

_NUMBERS = 4  # of a row, before slots and scalars: rho, v, steps, participants


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundList:
    """One round's scalars and what else its coefficients depend on; all exact in float32."""

    round_index: int
    rho: float  # finite-difference radius
    moment: float  # v after the round; 0 without a second moment
    steps: int  # that v has taken, this one included
    slots: Sequence[int]  # participants, ascending, below 2^24
    scalars: Floats  # (participants, n): the dL that the step takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The shape of what is kept of the last rounds."""

    rounds: int  # H; 0 to keep none
    cohort: int  # clients per round, at most
    scalars: int  # n, of each client

    @property
    def row(self) -> int:
        """Numbers of a round."""
        return _NUMBERS + self.cohort * (1 + self.scalars)

    @property
    def size(self) -> int:
        """Numbers of all rounds."""
        return self.rounds * self.row


@dataclass(frozen=True)
class StepState(MethodState):
    """The second moment, how often it was updated, and the last rounds' lists."""

    moment: Any  # (1,): v; 0 before the first step
    steps: Any  # (1,)
    rows: Any  # (H * row,): round r is row r mod H; one without participants is 0

    @classmethod
    def of(cls, state: MethodState | None, window: Window) -> StepState:
        """Copy a replica's state to the host; zeros where it has none.

        Raises:
            ValueError: the state belongs to another method or config.
        """
        values = np.zeros(2 + window.size, np.float32) if state is None else gather(state.arrays())
        if values.size != 2 + window.size:
            raise ValueError(
                f"a state of split directions must have {2 + window.size} values, got "
                f"{values.size}; use the run's own algorithm and options"
            )
        return cls(values[:1].copy(), values[1:2].copy(), values[2:].copy())

    def after(self, round_index: int, taken: RoundList | None, window: Window) -> StepState:
        """Return the state after a round; None for a round without participants."""
        rows: npt.NDArray[np.float32] = self.rows.copy()
        if window.rounds:
            start = round_index % window.rounds * window.row
            rows[start : start + window.row] = 0 if taken is None else _row(taken, window)
        if taken is None:
            return StepState(self.moment, self.steps, rows)
        moment, steps = np.array([[taken.moment], [taken.steps]], np.float32)
        return StepState(moment, steps, rows)

    def list_of(self, round_index: int, window: Window) -> RoundList | None:
        """Return what was kept of one of the last H rounds; None where nobody took part."""
        start = round_index % window.rounds * window.row
        rho, moment, steps, count, *_ = self.rows[start : start + _NUMBERS].tolist()
        if not count:
            return None
        slots, scalars = np.split(self.rows[start + _NUMBERS : start + window.row], [window.cohort])
        return RoundList(
            round_index=round_index,
            rho=rho,
            moment=moment,
            steps=int(steps),
            slots=[int(slot) for slot in slots[: int(count)]],
            scalars=scalars.reshape(window.cohort, window.scalars)[: int(count)],
        )


def _row(taken: RoundList, window: Window) -> npt.NDArray[np.float32]:
    row = np.zeros(window.row, np.float32)
    row[:_NUMBERS] = taken.rho, taken.moment, taken.steps, len(taken.slots)
    row[_NUMBERS : _NUMBERS + len(taken.slots)] = taken.slots
    start = _NUMBERS + window.cohort
    row[start : start + taken.scalars.size] = taken.scalars.reshape(-1)
    return row
