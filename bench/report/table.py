"""Tables as data, for the page and the terminal, and how figures are written in their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.format import ALIKE, MISSING, are_alike, format_points, format_ratio
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
    tone: str = ""  # good, tight or bad: the colour of a verdict


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
    results: Results,
    case: CaseName | str,
    name: str,
    write: Callable[[float], str],
    resolution: float = 0.0,
) -> Cell:
    """Write a metric with its spread; a missing one shows its reason.

    Args:
        results: the records.
        case: name of the record.
        name: of the metric.
        write: turns the raw number into text.
        resolution: as :func:`cell_of` has it.
    """
    metric = results.metric(case, name)
    return (
        cell_of(metric, write, resolution) if metric else Cell(MISSING, results.reason(case, name))
    )


def cell_of(metric: Metric, write: Callable[[float], str], resolution: float = 0.0) -> Cell:
    """Write a metric with its spread; only that it is smaller, where the meter cannot resolve it.

    Args:
        metric: one with a value.
        write: turns the raw number into text.
        resolution: of the meter, in the raw unit.
    """
    value = metric.value or 0.0
    if value < resolution:
        return Cell(f"< {write(resolution)}")
    detail = spread(metric, write)
    return Cell(write(value), f"({detail})" if detail else "")


def ratio(over: float | None, under: float | None) -> str:
    """Write over / under; a dash where either is missing or not positive.

    >>> ratio(316.9, 64.2), ratio(0.981, 1.0), ratio(None, 1.0)
    ('4.94x', '1.0x (±5 %)', '–')
    """
    if over is None or under is None or over <= 0 or under <= 0:
        return MISSING
    return ALIKE if are_alike(over, under) else f"{format_ratio(over / under)}x"


def spread(metric: Metric, write: Callable[[float], str]) -> str:
    """Write the range of a metric's samples; empty where its ends read the same.

    Of times, the range from the 5th to the 95th percentile, and how many samples are outside.
    """
    if metric.n < 2:
        return ""
    low, high, outside = whiskers(metric)
    if write(low) == write(high):
        return ""
    return f"{written_range(write(low), write(high))}{f'; {outside} outside' if outside else ''}"


def written_range(low: str, high: str) -> str:
    """Join two written figures; a unit that both have is written once.

    >>> written_range("353 ms", "430 ms"), written_range("990 ms", "1.02 s")
    ('353–430 ms', '990 ms–1.02 s')
    """
    number, space, unit = low.rpartition(" ")
    return f"{number if space and high.endswith(space + unit) else low}–{high}"


def whiskers(metric: Metric) -> tuple[float, float, int]:
    """Return the ends of a metric's range and the number of samples outside.

    Returns:
        The 5th and 95th percentile of times, by nearest rank; the smallest and largest sample of
        anything else, and of fewer than 20 times.
    """
    samples = sorted(metric.samples)
    cut = len(samples) // 20 if metric.unit == "second" else 0
    return samples[cut], samples[len(samples) - 1 - cut], 2 * cut


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
    return " to ".join(format_points(end) for end in difference.interval)
