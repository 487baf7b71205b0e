"""What fits in a device's memory: one step on one device, predicted and tried.

predicted = runtime + tensors, and is resident memory: what a board must have.  A control group
counts less, since it leaves out library pages that another process read first; on a board there is
no other process.  Both figures are kept, and the verdict is by resident memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from bench.boards import Verdict, verdict_of
from bench.records.details.machine import FitCell, FitTrial

NEAR = 0.3  # a prediction within this share of the limit is a close one
_LEAST_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One step on one device."""

    device: str
    limit_bytes: int  # the device's memory, less the reserve
    reserve_bytes: int  # for the device's operating system
    model: str
    method: str
    batch: int
    images: int | None  # of a whole set in micro-batches; None for one batch
    tensors_bytes: int  # predicted peak of live tensors, weights and inputs included
    formula_bytes: int  # the paper's closed form over the module's counts
    how: str  # how the tensors were predicted
    runtime_bytes: int  # measured: resident memory of this step's process without its tensors
    uncounted_bytes: int | None  # of it, what a limit's counter leaves out; None: no counter here
    trial: FitTrial | None = None

    @property
    def predicted_bytes(self) -> int:
        """The resident memory that the process will need."""
        return self.runtime_bytes + self.tensors_bytes

    @property
    def counted_bytes(self) -> int | None:
        """What a control group on this machine will count; None where there is none."""
        return None if self.uncounted_bytes is None else self.predicted_bytes - self.uncounted_bytes

    @property
    def enforced_bytes(self) -> int:
        """The limit on a control group's counter at which resident memory is at its own limit."""
        return max(self.limit_bytes - (self.uncounted_bytes or 0), _LEAST_LIMIT_BYTES)

    @property
    def verdict(self) -> Verdict:
        """Whether the step fits, by the prediction."""
        return verdict_of(self.predicted_bytes, self.limit_bytes)

    @property
    def is_near(self) -> bool:
        """Whether the prediction lies within 30 % of the limit."""
        return abs(self.predicted_bytes - self.limit_bytes) <= NEAR * self.limit_bytes

    @property
    def agrees(self) -> bool | None:
        """Whether prediction and trial agree; None without a trial that decides."""
        fits = self.trial.fits if self.trial else None
        return None if fits is None else fits == (self.verdict is not Verdict.DOES_NOT_FIT)

    @property
    def error(self) -> float | None:
        """The prediction less the measured resident peak, as a share of it; None without one."""
        measured = self.trial.resident_bytes if self.trial else None
        return None if measured is None else self.predicted_bytes / measured - 1

    def details(self) -> FitCell:
        """Return the cell for the record, derived figures included."""
        return FitCell(
            **{field.name: getattr(self, field.name) for field in fields(self)},
            predicted_bytes=self.predicted_bytes,
            counted_bytes=self.counted_bytes,
            verdict=self.verdict.value,
            is_near=self.is_near,
            agrees=self.agrees,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How well predictions and trials agree."""

    cells: int  # with a trial that decides
    agreeing: int
    near_cells: int  # of them, predicted within 30 % of the limit
    near_agreeing: int
    disagreeing: tuple[Cell, ...]
    errors: tuple[float, ...]  # of the predictions, as shares of the measured resident peaks

    @property
    def share(self) -> float | None:
        """Share of agreeing cells; None where there are none."""
        return self.agreeing / self.cells if self.cells else None

    @property
    def near_share(self) -> float | None:
        """The same among the near cells."""
        return self.near_agreeing / self.near_cells if self.near_cells else None


def agreement(cells: Sequence[Cell]) -> Agreement:
    """Count where prediction and trial agree."""
    decided = [cell for cell in cells if cell.agrees is not None]
    near = [cell for cell in decided if cell.is_near]
    return Agreement(
        cells=len(decided),
        agreeing=sum(bool(cell.agrees) for cell in decided),
        near_cells=len(near),
        near_agreeing=sum(bool(cell.agrees) for cell in near),
        disagreeing=tuple(cell for cell in decided if not cell.agrees),
        errors=tuple(sorted(cell.error for cell in decided if cell.error is not None)),
    )
