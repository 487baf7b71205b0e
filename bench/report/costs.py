"""The figures that every summary leads with: memory, time and bytes of ZO and of backprop.

The headline, the terminal, the README and the page of several machines look them up here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.format import MISSING, format_bytes, format_comparison, format_seconds
from bench.labels import METHODS, label, method_label
from bench.paper import BATCH, CLIENT_IMAGES, DIRECTIONS, batches_in_round, is_zo
from bench.records.case_name import CaseName, size_part
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.table import Cell, Table, cell_of, count_range, ratio

_RATIOS = (("fedavg", "zo"), ("zo", "inference"))  # over, under


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure that every method has."""

    group: str
    metric: str
    name: str  # "time per step"
    write: Callable[[float], str]
    compared: str  # what follows "1.5x faster"
    less: str = "lower"  # the word for a smaller value
    more: str = "higher"
    resolution: float = 0.0  # of the meter, in the raw unit: nothing smaller has a ratio

    def case(self, model: str, method: str, batch: int | None) -> CaseName:
        """Name the record; batch is None for a figure of a whole round."""
        return CaseName.of(
            self.group, model, method, *([] if batch is None else [size_part(batch)])
        )

    def found(self, results: Results, model: str, method: str, batch: int | None) -> Metric | None:
        """Return the figure as a metric; None where it was not measured."""
        return results.metric(self.case(model, method, batch), self.metric)

    def value(self, results: Results, model: str, method: str, batch: int | None) -> float | None:
        """Return the figure in its raw unit; None where there is none."""
        metric = self.found(results, model, method, batch)
        return metric.value if metric else None

    def ratio(self, over: float | None, under: float | None) -> str:
        """Write over / under; a dash where either is missing or below the meter's resolution."""
        if min(over or 0.0, under or 0.0) < self.resolution:
            return MISSING
        return ratio(over, under)

    def batches(self, results: Results, model: str) -> Sequence[int | None]:
        """List the batches of a model, the paper's first; [None] for a whole round."""
        if self.group == "bytes":
            return [None]
        return sorted(results.batches(self.group, model), key=lambda b: (b != BATCH, -b))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFigure(Figure):
    """The time of a direction, a step or a round, from what was timed: one batch.

    A ZO record times one direction, of which a step has S; a backprop record times one step.
    """

    group: str = "time"
    write: Callable[[float], str] = format_seconds
    less: str = "faster"
    more: str = "slower"

    def found(self, results: Results, model: str, method: str, batch: int | None) -> Metric | None:
        """Return the timed metric, multiplied by how often it is done."""
        timed = results.metric(
            self.case(model, method, batch), "direction" if is_zo(method) else "step"
        )
        times = None if batch is None else self.times(method, batch)
        return None if timed is None or times is None else scaled(timed, times)

    def times(self, method: str, batch: int) -> int | None:
        """Return how often it does what was timed; None where a method has no such figure."""
        if self.metric == "round":
            return batches_in_round(method, batch)
        if self.metric == "step":
            return DIRECTIONS if is_zo(method) else 1
        return 1 if is_zo(method) else None


def scaled(metric: Metric, factor: float) -> Metric:
    """Multiply a metric and its samples."""
    value = None if metric.value is None else factor * metric.value
    return replace(metric, value=value, samples=tuple(factor * s for s in metric.samples))


DIRECTION = TimeFigure(metric="direction", name="time per direction", compared="per direction")
STEP = TimeFigure(
    metric="step", name="time per step", compared=f"per step, of {DIRECTIONS} directions with ZO"
)
ROUND = TimeFigure(
    metric="round", name="time per round", compared=f"per round of {CLIENT_IMAGES} images"
)
UP = Figure(
    group="bytes", metric="up_payload", name="bytes up", write=format_bytes, compared="bytes up"
)
DOWN = Figure(
    group="bytes",
    metric="down_payload",
    name="bytes down",
    write=format_bytes,
    compared="bytes down",
)


def memory_figure(results: Results) -> Figure:
    """Return peak memory above the loaded model: of the device where steps ran on one."""
    memory = step_memory(results)
    name = f"peak {memory.name}"
    return Figure(
        group="memory",
        metric=memory.above,
        name=name,
        write=format_bytes,
        compared=f"{name} above the baseline",
        resolution=memory.resolution_bytes,
    )


def whole_figure(results: Results) -> Figure:
    """Return the peak of a step's whole process: libraries, weights and step."""
    memory = step_memory(results)
    return Figure(
        group="memory",
        metric=memory.whole,
        name="whole process",
        write=format_bytes,
        compared=memory.whole_short,
    )


def memory_figures(results: Results) -> tuple[Figure, ...]:
    """Return what a step's memory is compared by: the difference, then the totals.

    On a device these are what torch allocated, weights included, and the whole process.
    """
    above, whole = memory_figure(results), whole_figure(results)
    if step_memory(results) is HOST:
        return above, whole
    words = "allocated device memory, weights included"
    total = replace(above, metric="device_allocated", name=words, compared=words)
    return above, total, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One figure for a ZO step and for a step of backprop."""

    figure: Figure
    model: str
    batch: int | None  # images per step; None for a whole round
    zo: float  # raw unit
    backprop: float

    @property
    def comparison(self) -> str:
        """ZO against backprop, e.g. "4.9x lower"."""
        return format_comparison(self.zo, self.backprop, self.figure.less, self.figure.more)

    @property
    def values(self) -> str:
        """Both values, ZO's first."""
        return f"{self.figure.write(self.zo)} vs {self.figure.write(self.backprop)}"


def pair_of(
    results: Results,
    figure: Figure,
    model: str,
    batch: int | None,
    methods: tuple[str, str] = ("zo", "fedavg"),
) -> Pair | None:
    """Compare two methods, ZO first; None where either has no figure above the resolution."""
    zo, backprop = (figure.value(results, model, method, batch) for method in methods)
    if zo is None or backprop is None or min(zo, backprop) < figure.resolution:
        return None
    return Pair(figure=figure, model=model, batch=batch, zo=zo, backprop=backprop)


def pairs(results: Results, figure: Figure) -> list[Pair]:
    """List where both plain methods were measured: by model, the paper's batch first."""
    found = (
        pair_of(results, figure, model, batch)
        for model in results.models(figure.group)
        for batch in figure.batches(results, model)
    )
    return [pair for pair in found if pair is not None]


def step_table(
    results: Results,
    figure: Figure,
    caption: str,
    *,
    write: Callable[[float], str],
    methods: Sequence[str] = tuple(METHODS),
    folded: bool = False,
) -> Table:
    """Tabulate a figure by model, batch and method, with the ratios between methods.

    Args:
        results: the records.
        figure: of a step.
        caption: names the unit that write leaves out.
        write: turns a raw number into the table's text.
        methods: the columns.
        folded: whether the table is closed until the reader opens it.
    """
    ratios = [pair for pair in _RATIOS if set(pair) <= set(methods)]
    rows = []
    for model in results.models(figure.group):
        for batch in results.batches(figure.group, model):
            found = {method: figure.found(results, model, method, batch) for method in methods}
            values = {method: metric.value if metric else None for method, metric in found.items()}
            cells = (
                cell_of(metric, write, figure.resolution)
                if metric
                else Cell(MISSING, results.reason(figure.case(model, method, batch), figure.metric))
                for method, metric in found.items()
            )
            rows.append(
                (
                    *(Cell(label(model)), Cell(str(batch)), *cells),
                    *(Cell(figure.ratio(values[over], values[under])) for over, under in ratios),
                    Cell(count_range(metric.n for metric in found.values() if metric)),
                )
            )
    names = [f"{method_label(over)} ÷ {method_label(under)}" for over, under in ratios]
    columns = ("Model", "Batch", *map(method_label, methods), *names, "n")
    return Table(caption=caption, columns=columns, rows=tuple(rows), labels=1, folded=folded)
