"""What the lists of the last rounds follow from: kept by every replica, so that it can take back a
part of each round's step without a second copy of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.steps.step_length import StepLength
from zo_core.payloads.fields import Floats
from zo_core.replica import gather
from zo_core.state import MethodState

_MOMENT = 2  # numbers of the second moment: v, steps
_NUMBERS = 4  # of a row, before slots and scalars: rho, v, steps, participants


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundList:
    """One round's scalars and what else its coefficients depend on; all exact in float32."""

    round_index: int
    rho: float  # finite-difference radius
    moment: float  # v after the round; 0 without a second moment
    steps: int  # that v has taken, this one included
    length: float  # of the step, a factor of the rate; 1 for a constant one
    slots: Sequence[int]  # participants, ascending, below 2^24
    scalars: Floats  # (participants, n): the dL that the step takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The shape of what is kept of the last rounds."""

    rounds: int  # H; 0 to keep none
    cohort: int  # clients per round, at most
    scalars: int  # n, of each client
    clients: int = 0  # whose losses the step length follows; 0 for a constant one

    @property
    def row(self) -> int:
        """Numbers of a round."""
        return _NUMBERS + self.cohort * (1 + self.scalars) + (1 if self.clients else 0)

    @property
    def rows(self) -> int:
        """Numbers of all rounds."""
        return self.rounds * self.row

    @property
    def length(self) -> int:
        """Numbers of the step length."""
        return StepLength.size(self.clients) if self.clients else 0

    @property
    def size(self) -> int:
        """Numbers of the whole state."""
        return _MOMENT + self.rows + self.length


@dataclass(frozen=True)
class StepState(MethodState):
    """The second moment, how often it was updated, the last rounds' lists, the step length."""

    moment: Any  # (1,): v; 0 before the first step
    steps: Any  # (1,)
    rows: Any  # (H * row,): round r is row r mod H; one without participants is 0
    length: Any  # as StepLength packs it; empty for a constant one

    @classmethod
    def of(cls, state: MethodState | None, window: Window) -> StepState:
        """Copy a replica's state to the host; zeros where it has none.

        Raises:
            ValueError: the state belongs to another method or config.
        """
        values = np.zeros(window.size, np.float32) if state is None else gather(state.arrays())
        if values.size != window.size:
            raise ValueError(
                f"a state of split directions must have {window.size} values, got "
                f"{values.size}; use the run's own algorithm and options"
            )
        parts = np.split(values, [1, _MOMENT, _MOMENT + window.rows])
        return cls(*(part.copy() for part in parts))

    def after(self, round_index: int, taken: RoundList | None, window: Window) -> StepState:
        """Return the state after a round's list; None for a round without participants."""
        rows: npt.NDArray[np.float32] = self.rows.copy()
        if window.rounds:
            start = round_index % window.rounds * window.row
            rows[start : start + window.row] = 0 if taken is None else _row(taken, window)
        if taken is None:
            return replace(self, rows=rows)
        moment, steps = np.array([[taken.moment], [taken.steps]], np.float32)
        return replace(self, moment=moment, steps=steps, rows=rows)

    def list_of(self, round_index: int, window: Window) -> RoundList | None:
        """Return what was kept of one of the last H rounds; None where nobody took part."""
        start = round_index % window.rounds * window.row
        rho, moment, steps, count, *_ = self.rows[start : start + _NUMBERS].tolist()
        if not count:
            return None
        scalars_end = window.cohort * (1 + window.scalars)
        slots, scalars, length = np.split(
            self.rows[start + _NUMBERS : start + window.row], [window.cohort, scalars_end]
        )
        return RoundList(
            round_index=round_index,
            rho=rho,
            moment=moment,
            steps=int(steps),
            length=float(length[0]) if window.clients else 1.0,
            slots=[int(slot) for slot in slots[: int(count)]],
            scalars=scalars.reshape(window.cohort, window.scalars)[: int(count)],
        )


def _row(taken: RoundList, window: Window) -> npt.NDArray[np.float32]:
    row = np.zeros(window.row, np.float32)
    row[:_NUMBERS] = taken.rho, taken.moment, taken.steps, len(taken.slots)
    row[_NUMBERS : _NUMBERS + len(taken.slots)] = taken.slots
    start = _NUMBERS + window.cohort
    row[start : start + taken.scalars.size] = taken.scalars.reshape(-1)
    if window.clients:
        row[-1] = taken.length
    return row
