"""The report's tables as data: columns and cells of text, for the HTML page and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.record import Metric, Record
from bench.results import Results
from bench.text import METHODS, MISSING, label, mib, milliseconds, significant, size, times

_BYTES_COLUMNS = (
    *("Model", "Method"),
    *("Up, scalars", "Up, payload", "Down, scalars", "Down, payload"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, and in smaller letters what qualifies it."""

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

    @property
    def detailed(self) -> tuple[bool, ...]:
        """Tell the columns of figures that have details, so that figures can be aligned."""
        return tuple(
            column >= self.labels and any(row[column].detail for row in self.rows)
            for column in range(len(self.columns))
        )


def memory_tables(results: Results) -> list[Table]:
    """Tabulate peak memory by model, batch and method: above the baseline, and of the process."""
    captions = {
        "peak_above_baseline": "Peak above the baseline, MiB: median (smallest–largest)",
        "peak": "Peak of the whole process, libraries and weights included, MiB",
    }
    return [
        _step_table(results, "memory", metric, mib, caption)
        for metric, caption in captions.items()
        if results.group("memory")
    ]


def time_tables(results: Results) -> list[Table]:
    """Tabulate the time of one step by model, batch and method."""
    caption = "Time of one step, ms: median (smallest–largest)"
    if not results.group("time"):
        return []
    return [_step_table(results, "time", "step", milliseconds, caption)]


def bytes_tables(results: Results) -> list[Table]:
    """Tabulate what a client sends and receives in a round."""
    records = [record for record in results.group("bytes") if record.status == "ok"]
    if not records:
        return []
    names = ("up_scalars", "up_payload", "down_scalars", "down_payload")
    order = results.models("bytes")
    records.sort(key=lambda r: (order.index(r.config["model"]), r.config["method"] == "zo"))
    rows = [
        (
            Cell(label(record.config["model"])),
            Cell(label(record.config["method"]), _cohort(record)),
            *(_byte_cell(results, record.case, name) for name in names),
        )
        for record in records
    ]
    return [
        Table(
            caption="Bytes for each client and round, exact",
            columns=_BYTES_COLUMNS,
            rows=tuple(rows),
        )
    ]


def engine_tables(results: Results) -> list[Table]:
    """Tabulate the engine's own figures beside their limits."""
    rows = [
        _engine_row(record, name, metric)
        for record in results.group("engine")
        for name, metric in record.metrics.items()
        if metric.value is not None
    ]
    if not rows:
        return []
    columns = ("Case", "Metric", "Value", "Unit", "n", "Smallest–largest", "Limit")
    return [Table(caption="The engine’s own speed", columns=columns, rows=tuple(rows))]


def ratio(over: float | None, under: float | None) -> str:
    """Write over / under; the missing sign where either is missing or not positive."""
    if over is None or under is None or over <= 0 or under <= 0:
        return MISSING
    return f"{times(over / under)} ×"


def spread(metric: Metric, write: Callable[[float], str]) -> str:
    """Write a metric's smallest and largest sample; empty for one sample."""
    return f"{write(metric.spread[0])}–{write(metric.spread[1])}" if metric.spread else ""


def _step_table(
    results: Results, group: str, name: str, write: Callable[[float], str], caption: str
) -> Table:
    rows = [
        _step_row(results, f"{group}/{model}", batch, name, write)
        for model in results.models(group)
        for batch in results.batches(group, model)
    ]
    columns = ("Model", "Batch", *METHODS.values(), "FedAvg ÷ ZO", "ZO ÷ inference", "n")
    return Table(caption=caption, columns=columns, rows=tuple(rows), labels=1)


def _step_row(
    results: Results, stem: str, batch: int, name: str, write: Callable[[float], str]
) -> tuple[Cell, ...]:
    cases = {method: f"{stem}/{method}/b{batch}" for method in METHODS}
    values = {method: results.value(case, name) for method, case in cases.items()}
    metrics = [results.metric(case, name) for case in cases.values()]
    return (
        Cell(label(stem.split("/")[1])),
        Cell(str(batch)),
        *(_cell(results, case, name, write) for case in cases.values()),
        Cell(ratio(values["fedavg"], values["zo"])),
        Cell(ratio(values["zo"], values["inference"])),
        Cell(count_range(metric.n for metric in metrics if metric)),
    )


def _cell(results: Results, case: str, name: str, write: Callable[[float], str]) -> Cell:
    metric = results.metric(case, name)
    if metric is None or metric.value is None:
        return Cell(MISSING, results.reason(case, name))
    detail = spread(metric, write)
    return Cell(write(metric.value), f"({detail})" if detail else "")


def _byte_cell(results: Results, case: str, name: str) -> Cell:
    value = results.value(case, name)
    if value is None:
        return Cell(MISSING, results.reason(case, name))
    return Cell(f"{value:,.0f}", f"({size(value)})" if value >= 1024 else "")


def _cohort(record: Record) -> str:
    """Write what the bytes of a round depend on; FedAvg's depend on neither."""
    if record.config["method"] != "zo":
        return ""
    return f"S = {record.config['directions']}, cohort {record.config['cohort']}"


def _engine_row(record: Record, name: str, metric: Metric) -> tuple[Cell, ...]:
    assert metric.value is not None
    limit = record.details.get("limits", {}).get(name)
    return (
        Cell(record.case.removeprefix("engine/")),
        Cell(name.replace("_", " ")),
        Cell(significant(metric.value)),
        Cell(metric.unit),
        Cell(str(metric.n)),
        Cell(spread(metric, significant) or MISSING),
        Cell(MISSING if limit is None else significant(limit)),
    )


def count_range(counts: Iterable[int]) -> str:
    """Write how many samples there are: one number, or the fewest and the most."""
    found: Sequence[int] = sorted(set(counts))
    return MISSING if not found else "–".join(str(n) for n in dict.fromkeys((found[0], found[-1])))
