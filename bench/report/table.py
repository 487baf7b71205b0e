"""Tables as data, for the page and the terminal, and how figures are written in their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.format import MISSING, points, times
from bench.labels import label
from bench.records.case_name import CaseName
from bench.records.paired import PairedDifference
from bench.records.record import Metric
from bench.records.record_index import Results


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, and a detail in smaller letters."""

    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of text; the first `labels` columns name the row and are aligned left."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    labels: int = 2
    prose: bool = False  # the last column is running text
    folded: bool = False  # closed until the reader opens it

    @property
    def detailed(self) -> tuple[bool, ...]:
        """Return which columns of figures have details, so that figures can be aligned."""
        return tuple(
            column >= self.labels and any(row[column].detail for row in self.rows)
            for column in range(len(self.columns))
        )


def metric_cell(
    results: Results, case: CaseName | str, name: str, write: Callable[[float], str]
) -> Cell:
    """Write a metric with its spread; a missing one shows its reason.

    Args:
        results: the records.
        case: name of the record.
        name: of the metric.
        write: turns the raw number into text.
    """
    metric = results.metric(case, name)
    if metric is None or metric.value is None:
        return Cell(MISSING, results.reason(case, name))
    detail = spread(metric, write)
    return Cell(write(metric.value), f"({detail})" if detail else "")


def ratio(over: float | None, under: float | None) -> str:
    """Write over / under; a dash where either is missing or not positive."""
    if over is None or under is None or over <= 0 or under <= 0:
        return MISSING
    return f"{times(over / under)} ×"


def spread(metric: Metric, write: Callable[[float], str]) -> str:
    """Write a metric's smallest and largest sample; empty for one sample."""
    return f"{write(metric.spread[0])}–{write(metric.spread[1])}" if metric.spread else ""


def count_range(counts: Iterable[int]) -> str:
    """Write how many samples there are: one number, or the fewest and the most.

    >>> count_range([3, 3]), count_range([2, 9, 3]), count_range([])
    ('3', '2–9', '–')
    """
    found: Sequence[int] = sorted(set(counts))
    return MISSING if not found else "–".join(str(n) for n in dict.fromkeys((found[0], found[-1])))


def verdict(difference: PairedDifference, first: str = "zowarmup") -> str:
    """Say what a paired difference shows.

    Args:
        difference: first algorithm minus second.
        first: name of the first algorithm.
    """
    return {
        None: "too few seeds for an interval",
        1: f"{label(first)} is significantly better",
        -1: f"{label(first)} is significantly worse",
        0: "inconclusive: the interval includes 0",
    }[difference.sign]


def interval_text(difference: PairedDifference) -> str:
    """Write the 95 % interval in percentage points, or why there is none."""
    if difference.interval is None:
        return "needs three seeds"
    return " to ".join(points(end) for end in difference.interval)
