"""The end of a run on the terminal: what each method costs, and what it learns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.format import ALGORITHMS, METHODS, MISSING, duration, label, percent, points, size
from bench.records.paired import compare_on_seeds
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.step_memory import step_memory
from bench.report.groups.statements import interval_text
from bench.report.sections import SECTIONS
from bench.report.table import ratio

_BATCHES = (64, 1)  # the paper's, and what the smallest device would take


def summary_table(records: Iterable[Record]) -> RenderableType:
    """Make the tables that end a run: peak memory, bytes and time by model, then accuracy.

    Args:
        records: a run's records; what is missing among them is said below the tables.

    Returns:
        What a rich console prints.
    """
    results = Results.of(records)
    parts = (_cost_table(results), _accuracy_table(results))
    return Group(*(part for part in parts if part.row_count), *_failures(results))


def _cost_table(results: Results) -> Table:
    memory = step_memory(results).name
    table = Table(
        title=f"Peak {memory} above baseline and time of a step; bytes a client and round",
        title_justify="left",
    )
    table.add_column("Model")
    table.add_column("Quantity")
    for name in (*METHODS.values(), "FedAvg ÷ ZO"):
        table.add_column(name, justify="right")
    models = dict.fromkeys(m for g in ("memory", "bytes", "time") for m in results.models(g))
    for model in models:
        for row in _rows(results, model):
            table.add_row(label(model), *row)
        table.add_section()
    return table


def _rows(results: Results, model: str) -> Iterator[tuple[str, ...]]:
    memory = step_memory(results)
    for batch in results.batches("memory", model):
        if batch in _BATCHES:
            case = f"memory/{model}/{{}}/b{batch}"
            words = f"{memory.name}, batch {batch}"
            yield _row(results, words, case, memory.above, size)
    for way in ("up", "down"):
        words, case = f"bytes {way}", f"bytes/{model}/{{}}"
        if any(record.config["model"] == model for record in results.group("bytes")):
            yield _row(results, words, case, f"{way}_payload", size)
    for batch in results.batches("time", model):
        if batch in _BATCHES:
            case = f"time/{model}/{{}}/b{batch}"
            yield _row(results, f"time, batch {batch}", case, "step", duration)


def _row(
    results: Results, words: str, case: str, metric: str, write: Callable[[float], str]
) -> tuple[str, ...]:
    values = {method: results.value(case.format(method), metric) for method in METHODS}
    texts = (
        write(value) if value is not None else _why(results, case.format(method), metric)
        for method, value in values.items()
    )
    return words, *texts, ratio(values["fedavg"], values["zo"])


def _why(results: Results, case: str, metric: str) -> str:
    """Give a failed case's status; what has no case, like inference's bytes, is a dash."""
    return results.reason(case, metric) if case in results.by_case else MISSING


def _accuracy_table(results: Results) -> Table:
    table = Table(title="Test accuracy: mean ± standard deviation", title_justify="left")
    table.add_column("High/low")
    for name in (*ALGORITHMS.values(), "Difference", "95 % interval", "Pairs"):
        table.add_column(name, justify="right")
    for split in results.splits():
        cases = [f"accuracy/{name}/{split}" for name in ALGORITHMS]
        shares = (_share(results, case) for case in cases)
        table.add_row(split.replace("-", "/"), *shares, *_difference(results, cases))
    return table


def _share(results: Results, case: str) -> str:
    metric = results.metric(case, "test_accuracy")
    if metric is None or metric.value is None:
        return results.reason(case, "test_accuracy")
    return percent(metric.value) + ("" if metric.std is None else f" ± {100 * metric.std:.1f}")


def _difference(results: Results, cases: list[str]) -> tuple[str, str, str]:
    ours, theirs = (results.by_case.get(case) for case in cases)
    found = compare_on_seeds(ours, theirs, "test_accuracy")
    if found is None:
        return MISSING, MISSING, "0"
    return points(found.mean), interval_text(found), str(found.n)


def _failures(results: Results) -> list[Text]:
    """Say which cases gave no figure; a group that nobody asked for is no failure."""
    lines = [line for section in SECTIONS for line in results.missing(section.group)]
    return [Text("Not measured:"), *(Text(f"  {line}") for line in lines)] if lines else []
