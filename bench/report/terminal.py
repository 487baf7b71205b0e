"""The end of a run on the terminal: what each method costs, and what accuracy it reaches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.format import MISSING, format_percent, format_points
from bench.labels import ALGORITHMS, METHODS, label
from bench.paper import BATCH, CLIENT_IMAGES, DIRECTIONS
from bench.records.case_name import CaseName
from bench.records.paired import compare_on_seeds
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.step_memory import step_memory
from bench.report.costs import DOWN, ROUND, STEP, UP, Figure, memory_figure, whole_figure
from bench.report.sections import SECTIONS
from bench.report.table import interval_text

_LOOK: Any = {  # of every table
    "title_justify": "left",
    "title_style": "bold",
    "box": box.SIMPLE_HEAD,
    "pad_edge": False,
}
_BATCHES = (BATCH, 1, None)  # the paper's, the smallest, and none for a whole round


def summary_table(records: Iterable[Record]) -> RenderableType:
    """Make the tables that end a run: memory, bytes and time of each model, then accuracy.

    Args:
        records: a run's records; cases without a figure are listed below the tables.

    Returns:
        What a rich console prints.
    """
    results = Results.of(records)
    costs = [table for table in _cost_tables(results) if table.row_count]
    legend = [_legend(results)] if costs else []
    accuracy = [table for table in [_accuracy_table(results)] if table.row_count]
    return Group(*costs, *legend, *accuracy, *_failures(results))


def _cost_tables(results: Results) -> list[Table]:
    """Make one table per model, titled with its name, which no column can then clip."""
    figures = (memory_figure(results), whole_figure(results), UP, DOWN, STEP, ROUND)
    models = dict.fromkeys(m for figure in figures for m in results.models(figure.group))
    return [_cost_table(results, figures, model) for model in models]


def _cost_table(results: Results, figures: Sequence[Figure], model: str) -> Table:
    table = Table(title=label(model), **_LOOK)
    table.add_column("One client")
    for name in (*METHODS.values(), "Backprop ÷ ZO"):
        table.add_column(name, justify="right", no_wrap=True)
    for figure in figures:
        for row in _rows(results, figure, model):
            table.add_row(*row)
    return table


def _legend(results: Results) -> Text:
    return Text(
        f"Peak {step_memory(results).name} is above the loaded model. A ZO step has {DIRECTIONS}"
        f" directions; a round is over {CLIENT_IMAGES} images; bytes are per round.\n",
        style="dim",
    )


def _rows(results: Results, figure: Figure, model: str) -> Iterator[tuple[str, ...]]:
    if model not in results.models(figure.group):
        return
    batches = set(figure.batches(results, model)) & set(_BATCHES)
    for batch in sorted(batches - {1} if figure is ROUND else batches, key=str):
        name = figure.name if batch is None else f"{figure.name}, batch {batch}"
        values = {m: figure.value(results, model, m, batch) for m in METHODS}
        texts = (
            _written(figure, value)
            if value is not None
            else _why(results, figure.case(model, method, batch), figure.metric)
            for method, value in values.items()
        )
        yield name, *texts, figure.ratio(values["fedavg"], values["zo"])


def _written(figure: Figure, value: float) -> str:
    """Write a value; only that it is smaller where the meter cannot resolve it."""
    is_resolved = value >= figure.resolution
    return figure.write(value) if is_resolved else f"< {figure.write(figure.resolution)}"


def _why(results: Results, case: CaseName, metric: str) -> str:
    """Return why a figure is missing; a dash if it cannot exist, like inference's bytes."""
    record = results.record(case)
    exists = record is not None and (record.status != "ok" or metric in record.metrics)
    return results.reason(case, metric) if exists else MISSING


def _accuracy_table(results: Results) -> Table:
    table = Table(title="Test accuracy, mean ± standard deviation", **_LOOK)
    table.add_column("High/low")
    for name in (*ALGORITHMS.values(), "Difference", "95 % interval", "Pairs"):
        table.add_column(name, justify="right")
    for split in results.splits():
        cases = [CaseName.accuracy(name, split) for name in ALGORITHMS]
        shares = (_share(results, case) for case in cases)
        table.add_row(split.replace("-", "/"), *shares, *_difference(results, cases))
    return table


def _share(results: Results, case: CaseName) -> str:
    metric = results.metric(case, "test_accuracy")
    if metric is None or metric.value is None:
        return results.reason(case, "test_accuracy")
    return format_percent(metric.value) + (
        "" if metric.std is None else f" ± {100 * metric.std:.1f}"
    )


def _difference(results: Results, cases: list[CaseName]) -> tuple[str, str, str]:
    ours, theirs = map(results.record, cases)
    found = compare_on_seeds(ours, theirs, "test_accuracy")
    if found is None:
        return MISSING, MISSING, "0"
    return format_points(found.mean), interval_text(found), str(found.n)


def _failures(results: Results) -> list[Text]:
    """List the cases without a figure, and why; a group that was not asked for has no line."""
    lines = [line for section in SECTIONS for line in results.missing(section.group)]
    return [Text("Missing:"), *(Text(f"  {line}") for line in lines)] if lines else []
