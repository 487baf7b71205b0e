"""Bar charts as data: the page draws them with its own text, so no font is embedded or clipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.format import MIB, format_bytes
from bench.labels import method_label
from bench.paper import is_zo
from bench.records.record import Metric
from bench.report.table import spread

BACKPROP = "backprop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One part of a bar, or a dot."""

    kind: str  # names its colour in the page's style
    start: float  # share of the axis
    width: float  # share of the axis; 0 for a dot
    hover: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One row: a name, the marks, and the value printed at their end."""

    name: str
    kind: str  # colour of the method
    marks: tuple[Mark, ...]
    text: str
    detail: str = ""  # in smaller letters after the value
    tone: str = ""  # good, tight or bad
    amount: int | None = None  # raw unit, for the page's slider

    @property
    def end(self) -> float:
        """Where the last mark ends, as a share of the axis."""
        return max((mark.start + mark.width for mark in self.marks), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An upright line across all bars, or a tick."""

    at: float  # share of the axis
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitControl:
    """The page's slider: the memory that the bars are compared with."""

    limit_bytes: int  # what the static page shows
    reserve_bytes: int  # of it, for the operating system
    axis_bytes: int  # the end of the axis
    owner: str  # "board" or "GPU"

    @property
    def limit_mib(self) -> int:
        """The limit in whole MiB."""
        return self.limit_bytes // MIB

    @property
    def words(self) -> str:
        """The limit with its unit."""
        return format_bytes(self.limit_bytes)

    @property
    def log2_mib(self) -> float:
        """Where the slider stands: equal steps are equal factors."""
        return round(math.log2(self.limit_mib), 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """Bars from a true zero, or dots on a logarithmic axis."""

    caption: str
    model: str = ""  # what the section's other charts are not of
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()  # kind and words
    dots: bool = False
    note: str = ""
    control: LimitControl | None = None

    @property
    def has_tight(self) -> bool:
        """Whether a bar leaves little to spare; the slider may change that."""
        return any(bar.tone == "tight" for bar in self.bars)


def kind_of(method: str) -> str:
    """Return the colour of a method: one for inference, one for ZO, one for backprop.

    >>> kind_of("zo-by-1"), kind_of("zowarmup"), kind_of("fedavg"), kind_of("inference")
    ('zo', 'zo', 'backprop', 'inference')
    """
    if method == "inference":
        return method
    return "zo" if is_zo(method) or method.startswith("zowarmup") else BACKPROP


def end_of_axis(largest: float) -> float:
    """Round the largest value up to 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten.

    >>> end_of_axis(613), end_of_axis(0.9), end_of_axis(0)
    (800.0, 1.0, 1.0)
    """
    if largest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= largest)


def metric_bar(
    name: str,
    method: str,
    metric: Metric,
    write: Callable[[float], str],
    end: float,
    *,
    words: str | None = None,
) -> Bar:
    """Make a bar from zero to a metric's value.

    Args:
        name: the words at the bar.
        method: gives the colour.
        metric: one with a value.
        write: turns the raw number into text.
        end: of the axis, in the raw unit.
        words: what hover calls it; None for the method of a step.
    """
    kind, value = kind_of(method), metric.value or 0.0
    hover = hover_text(words or method_label(method), metric, write)
    mark = Mark(kind=kind, start=0.0, width=value / end, hover=hover)
    return Bar(name=name, kind=kind, marks=(mark,), text=write(value))


def empty_bar(name: str, method: str, reason: str) -> Bar:
    """Make the row of a method that has no value."""
    return Bar(name=name, kind=kind_of(method), marks=(), text=reason)


def hover_text(name: str, metric: Metric, write: Callable[[float], str]) -> str:
    """Say what a page shows on hover: the value, its spread, n and the meter."""
    found = spread(metric, write)
    return ", ".join(
        (
            f"{name}: {write(metric.value or 0.0)}" + (f" ({found})" if found else ""),
            f"{metric.statistic} of n = {metric.n}" if metric.n > 1 else "n = 1",
            metric.method,
        )
    )


@dataclass(frozen=True, slots=True)
class LogAxis:
    """A logarithmic axis over powers of a base."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float], base: float = 2.0) -> LogAxis:
        """Span the powers of a base that enclose positive values.

        >>> LogAxis.over([3.0, 40.0])
        LogAxis(low=2.0, high=64.0)
        """
        low = base ** math.floor(math.log(min(values), base))
        high = base ** math.ceil(math.log(max(values), base))
        return cls(low, high if high > low else low * base)

    def share(self, value: float) -> float:
        """Return where a value lies, from 0 to 1."""
        return math.log(value / self.low) / math.log(self.high / self.low)
