"""The report's tables as data: columns and cells of text, for the HTML page and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.format import (
    METHODS,
    MISSING,
    label,
    mib,
    milliseconds,
    quantity,
    significant,
    size,
    times,
)
from bench.records.record import Metric, Record
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory

_STEP_TIME = "Time of one step, ms: median (smallest–largest)"
_ROUND_TIME = "Time of the paper’s round, extrapolated from the step, s: median (smallest–largest)"
_STEP_ENERGY = "Energy of one step, joules: mean over steps in a row"
_RATIOS = (("fedavg", "zo"), ("zo", "inference"))  # over, under
# Shown when asked for beside the device's memory that a step on CUDA is judged by.
_BESIDE_DEVICE = {
    "device_reserved": "Peak device memory that torch’s allocator held, MiB",
    "peak_above_baseline": "Peak memory of the host above the baseline, MiB",
}
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
    folded: bool = False  # of interest to few: shown when asked for

    @property
    def detailed(self) -> tuple[bool, ...]:
        """Tell the columns of figures that have details, so that figures can be aligned."""
        return tuple(
            column >= self.labels and any(row[column].detail for row in self.rows)
            for column in range(len(self.columns))
        )


def memory_tables(results: Results) -> list[Table]:
    """Tabulate peak memory by model, batch and method: above the baseline, and of the process."""
    memory = step_memory(results)
    captions = {
        memory.above: f"Peak {memory.name} above the baseline, MiB: median (smallest–largest)",
        memory.whole: f"{memory.whole_name}, MiB",
        "tensor_peak_above_baseline": "Peak of tensors made in the step, MiB, at the dispatcher",
    }
    beside = {} if memory is HOST else _BESIDE_DEVICE
    folded = {metric: caption for metric, caption in beside.items() if metric not in captions}
    tables = [
        replace(
            _step_table(results, "memory", metric, mib, caption=caption), folded=metric in folded
        )
        for metric, caption in (captions | folded).items()
        if any(metric in record.metrics for record in results.group("memory"))
    ]
    return [*tables, *_whole_set_table(results)]


def _whole_set_table(results: Results) -> list[Table]:
    """Tabulate the cases over a client's whole set, in micro-batches."""
    memory = step_memory(results)
    records = [r for r in results.group("memory") if r.config.get("images", 0) > r.config["batch"]]
    rows = [
        (
            Cell(label(record.config["model"])),
            Cell(label(record.config["method"])),
            Cell(f"{record.config['images']} by {record.config['batch']}"),
            _cell(results, record.case, memory.above, mib),
            _cell(results, record.case, memory.whole, mib),
        )
        for record in records
    ]
    columns = ("Model", "Method", "Images", "Above the baseline", "In all")
    caption = (
        f"Peak {memory.name} over a client's whole set in micro-batches, MiB:"
        " median (smallest–largest)"
    )
    return [Table(caption=caption, columns=columns, rows=tuple(rows))] if rows else []


def time_tables(results: Results) -> list[Table]:
    """Tabulate time and energy of a step by model, batch and method, and the paper's round."""
    if not results.group("time"):
        return []
    tables = [_step_table(results, "time", "step", milliseconds, caption=_STEP_TIME)]
    if any("round_extrapolated" in record.metrics for record in results.group("time")):
        methods = ("zo", "fedavg")  # there is no round of inference
        tables.append(
            _step_table(
                *(results, "time", "round_extrapolated", significant),
                caption=_ROUND_TIME,
                methods=methods,
            )
        )
    if any(results.value(record.case, "energy") for record in results.group("time")):
        tables.append(_step_table(results, "time", "energy", significant, caption=_STEP_ENERGY))
    return tables


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
    """Tabulate the engine's own figures beside the bars that they are held to."""
    rows = [
        _engine_row(record, name, metric, metric.value)
        for record in results.group("engine")
        for name, metric in record.metrics.items()
        if metric.value is not None
    ]
    columns = ("Case", "Figure", "Value", "Smallest–largest", "n", "Bar", "Held")
    held = tuple(row for row in rows if row[-1].text != MISSING)
    others = tuple(row for row in rows if row[-1].text == MISSING)
    tables = [
        Table(caption="The engine’s figures that are held to a bar", columns=columns, rows=held),
        Table(caption="The engine’s other figures", columns=columns, rows=others, folded=True),
    ]
    return [table for table in tables if table.rows]


def ratio(over: float | None, under: float | None) -> str:
    """Write over / under; the missing sign where either is missing or not positive."""
    if over is None or under is None or over <= 0 or under <= 0:
        return MISSING
    return f"{times(over / under)} ×"


def spread(metric: Metric, write: Callable[[float], str]) -> str:
    """Write a metric's smallest and largest sample; empty for one sample."""
    return f"{write(metric.spread[0])}–{write(metric.spread[1])}" if metric.spread else ""


def _step_table(
    results: Results,
    group: str,
    name: str,
    write: Callable[[float], str],
    *,
    caption: str,
    methods: Sequence[str] = tuple(METHODS),
) -> Table:
    pairs = [pair for pair in _RATIOS if set(pair) <= set(methods)]
    rows = []
    for model in results.models(group):
        for batch in results.batches(group, model):
            cases = {method: f"{group}/{model}/{method}/b{batch}" for method in methods}
            figures = [_cell(results, case, name, write) for case in cases.values()]
            comparison = _comparison(results, cases, name, pairs)
            rows.append((Cell(label(model)), Cell(str(batch)), *figures, *comparison))
    ratios = [f"{label(over)} ÷ {label(under)}" for over, under in pairs]
    columns = ("Model", "Batch", *map(label, methods), *ratios, "n")
    return Table(caption=caption, columns=columns, rows=tuple(rows), labels=1)


def _comparison(
    results: Results, cases: Mapping[str, str], name: str, pairs: Sequence[tuple[str, str]]
) -> tuple[Cell, ...]:
    """Make a row's end: the ratios between its methods, and the number of samples."""
    values = {method: results.value(case, name) for method, case in cases.items()}
    metrics = [results.metric(case, name) for case in cases.values()]
    ratios = (Cell(ratio(values[over], values[under])) for over, under in pairs)
    return (*ratios, Cell(count_range(metric.n for metric in metrics if metric)))


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


def _engine_row(record: Record, name: str, metric: Metric, value: float) -> tuple[Cell, ...]:
    def write(amount: float) -> str:
        return quantity(amount, metric.unit)

    bare = write if metric.unit in ("byte", "second", "share") else significant
    limit = record.details.get("limits", {}).get(name)
    floor = record.details.get("floors", {}).get(name)
    bars = {"≤": (limit, limit is None or value <= limit)}
    bars |= {"≥": (floor, floor is None or value >= floor)}
    told = [f"{sign} {write(bar)}" for sign, (bar, _) in bars.items() if bar is not None]
    held = "yes" if all(holds for _, holds in bars.values()) else "no"
    return (
        Cell(record.case.removeprefix("engine/")),
        Cell(name.replace("_", " ")),
        Cell(write(value)),
        Cell(spread(metric, bare) or MISSING),
        Cell(str(metric.n)),
        Cell(", ".join(told) or MISSING),
        Cell(held if told else MISSING),
    )


def count_range(counts: Iterable[int]) -> str:
    """Write how many samples there are: one number, or the fewest and the most."""
    found: Sequence[int] = sorted(set(counts))
    return MISSING if not found else "–".join(str(n) for n in dict.fromkeys((found[0], found[-1])))
