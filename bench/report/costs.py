"""The figures that every summary leads with: memory, time and bytes of ZO and of backprop.

The headline, the terminal, the README and the page of several machines look them up here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.format import duration, format_comparison, size
from bench.labels import METHODS, label
from bench.paper import BATCH
from bench.records.case_name import CaseName, size_part
from bench.records.record_index import Results
from bench.records.step_memory import step_memory
from bench.report.table import Cell, Table, count_range, metric_cell, ratio

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

    def case(self, model: str, method: str, batch: int | None) -> CaseName:
        """Name the record; batch is None for a figure of a whole round."""
        return CaseName.of(
            self.group, model, method, *([] if batch is None else [size_part(batch)])
        )

    def value(self, results: Results, model: str, method: str, batch: int | None) -> float | None:
        """Return the figure in its raw unit; None where there is none."""
        return results.value(self.case(model, method, batch), self.metric)

    def batches(self, results: Results, model: str) -> Sequence[int | None]:
        """List the batches of a model, the paper's first; [None] for a whole round."""
        if self.group == "bytes":
            return [None]
        return sorted(results.batches(self.group, model), key=lambda b: (b != BATCH, -b))


TIME = Figure(
    group="time",
    metric="step",
    name="time per step",
    write=duration,
    compared="per step",
    less="faster",
    more="slower",
)
UP = Figure(group="bytes", metric="up_payload", name="bytes up", write=size, compared="bytes up")
DOWN = Figure(
    group="bytes", metric="down_payload", name="bytes down", write=size, compared="bytes down"
)


def memory_figure(results: Results) -> Figure:
    """Return peak memory above the loaded model: of the device where steps ran on one."""
    memory = step_memory(results)
    name = f"peak {memory.name}"
    return Figure(group="memory", metric=memory.above, name=name, write=size, compared=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One figure for ZO and for FedAvg's backprop."""

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


def pairs(results: Results, figure: Figure) -> list[Pair]:
    """List where both methods were measured: by model, the paper's batch first."""
    found = []
    for model in results.models(figure.group):
        for batch in figure.batches(results, model):
            zo, backprop = (figure.value(results, model, m, batch) for m in ("zo", "fedavg"))
            if zo is not None and backprop is not None:
                found.append(
                    Pair(figure=figure, model=model, batch=batch, zo=zo, backprop=backprop)
                )
    return found


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
            cases = {method: figure.case(model, method, batch) for method in methods}
            values = {m: results.value(case, figure.metric) for m, case in cases.items()}
            metrics = [results.metric(case, figure.metric) for case in cases.values()]
            rows.append(
                (
                    *(Cell(label(model)), Cell(str(batch))),
                    *(metric_cell(results, c, figure.metric, write) for c in cases.values()),
                    *(Cell(ratio(values[over], values[under])) for over, under in ratios),
                    Cell(count_range(metric.n for metric in metrics if metric)),
                )
            )
    names = [f"{label(over)} ÷ {label(under)}" for over, under in ratios]
    columns = ("Model", "Batch", *map(label, methods), *names, "n")
    return Table(caption=caption, columns=columns, rows=tuple(rows), labels=1, folded=folded)
