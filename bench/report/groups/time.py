"""Time and energy: of one direction, one step and one round."""

from __future__ import annotations

from collections.abc import Callable

from bench.format import MISSING, format_milliseconds, format_number, format_percent
from bench.labels import LOW_MEMORY_METHODS, METHODS, label, method_label
from bench.paper import BATCH, CLIENT_IMAGES, DIRECTIONS, LOCAL_EPOCHS
from bench.records.frontier import TARGETS, panels_of, points_of, title_of
from bench.records.record import Metric, Record
from bench.records.record_index import Results
from bench.report.costs import DIRECTION, ROUND, STEP, Figure, scaled
from bench.report.section import Section
from bench.report.step_terms import time_arithmetic_tables
from bench.report.table import Cell, Table, cell_of, count_range
from bench.step_variants import PLAIN

_TIME = (
    "Time: median (5th–95th percentile; samples outside). Per direction: two forwards on a batch,"
    f" the perturbations and the replay. Per step: {DIRECTIONS} directions with ZO, one forward,"
    f" backward and update with backprop. Per round: a client’s {CLIENT_IMAGES} images,"
    f" extrapolated from batch {BATCH}"
)


def time_tables(results: Results) -> list[Table]:
    """Tabulate the times of each model by method and batch, then energy, then whole trainings."""
    models = results.models("time")
    tables = [_time_table(results, model, folded=model != models[0]) for model in models]
    return [*tables, *_energy_tables(results), *_target_tables(results)]


def _time_table(results: Results, model: str, *, folded: bool) -> Table:
    rows = tuple(
        _time_row(results, model, method, batch)
        for batch in results.batches("time", model)
        for method in (*METHODS, *LOW_MEMORY_METHODS)
        if results.record(STEP.case(model, method, batch))
    )
    return Table(
        caption=f"{label(model)}. {_TIME}",
        columns=("Method", "Batch", "Per direction, ms", "Per step, ms", "Per round, s", "n"),
        rows=rows,
        labels=1,
        folded=folded,
    )


def _time_row(results: Results, model: str, method: str, batch: int) -> tuple[Cell, ...]:
    rounds = [batch] if batch == BATCH else []
    found = STEP.found(results, model, method, batch)
    return (
        Cell(method_label(method)),
        Cell(str(batch)),
        _cell(results, DIRECTION, format_milliseconds, (model, method, batch)),
        _cell(results, STEP, format_milliseconds, (model, method, batch)),
        _cell(results, ROUND, format_number, (model, method, batch)) if rounds else Cell(MISSING),
        Cell(str(found.n) if found else MISSING),
    )


def _cell(
    results: Results, figure: Figure, write: Callable[[float], str], step: tuple[str, str, int]
) -> Cell:
    metric, record = figure.found(results, *step), results.record(figure.case(*step))
    if metric is not None:
        return cell_of(metric, write)
    return Cell(MISSING, record.status if record and record.status != "ok" else "")


def _energy_tables(results: Results) -> list[Table]:
    rows = tuple(
        _energy_row(record, metric)
        for record in results.group("time")
        if (metric := results.metric(record.case, "energy"))
    )
    caption = f"Energy in joules: mean over two seconds; a round extrapolated from batch {BATCH}"
    columns = ("Model", "Method", "Batch", "Per step", "Per round")
    return [Table(caption=caption, columns=columns, rows=rows)] if rows else []


def _energy_row(record: Record, metric: Metric) -> tuple[Cell, ...]:
    model, method, batch = (record.config[name] for name in ("model", "method", "batch"))
    times = (STEP.times(method, batch), ROUND.times(method, batch) if batch == BATCH else None)
    return (
        *(Cell(label(model)), Cell(method_label(method)), Cell(str(batch))),
        *(Cell(MISSING) if n is None else cell_of(scaled(metric, n), format_number) for n in times),
    )


def _target_tables(results: Results) -> list[Table]:
    """Tabulate how long whole trainings take to an accuracy, by plain steps."""
    tables = []
    for panel in panels_of(results):
        points = [point for point in points_of(results, panel) if point.step_variant == PLAIN]
        rounds = count_range(point.rounds for point in points)
        rows = tuple(
            (
                Cell(label(point.variant), f"{point.rounds} rounds"),
                *(
                    Cell(format_number(moment.seconds) if moment else MISSING)
                    for moment in map(point.reaches, TARGETS)
                ),
            )
            for point in points
        )
        tables.append(
            Table(
                caption=(
                    f"Training at {title_of(panel)}: seconds until a test accuracy is reached;"
                    f" plain steps, rounds in sequence, without network time; {rounds} rounds"
                ),
                columns=("Method", *map(format_percent, TARGETS)),
                rows=rows,
                labels=1,
                folded=True,
            )
        )
    return tables


SECTION = Section(
    group="time",
    title="Time of a direction, a step and a round",
    short="Time",
    lead=(
        "Inference is two forwards. In a round of the paper a client takes one step with ZO, of"
        f" S = {DIRECTIONS} directions over its {CLIENT_IMAGES} images; with backprop it takes"
        f" {LOCAL_EPOCHS} epochs over them. Compare rounds: a step of backprop sees one batch."
    ),
    tables=(time_tables, time_arithmetic_tables),
    definitions={
        "Time": (
            "Wall time, after one unmeasured repeat, in separate runs from memory. Leading samples"
            " that exceed the 95th percentile of the second half by more than 5 % are warm-up and"
            " are discarded; the method of each metric says how many."
        ),
        "Energy": (
            "Joules of two seconds of steps in a row, per step, from the counters of the GPU or"
            " processor or from a board’s power sensors. None of them includes screen, storage,"
            " radio or power supply. Without a counter there is no figure."
        ),
    },
)
