"""Peak memory of one step: by model, batch and method, and the steps that need less memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.format import MISSING, format_mib, format_number
from bench.labels import LOW_MEMORY_METHODS, METHODS, label, method_label
from bench.paper import BATCH
from bench.records.details.machine import MemoryDetails
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.step_memory import HOST, step_memory
from bench.report.costs import ROUND, Figure, memory_figure, step_table
from bench.report.section import Section
from bench.report.step_terms import arithmetic_tables, device_tables
from bench.report.table import Cell, Table, metric_cell

# Shown folded below the device memory that a step on CUDA is compared by.
_BESIDE_DEVICE = {
    "peak_above_baseline": "Peak host memory above the baseline, MiB",
}
_CATEGORIES = ("parameter", "gradient", "activation", "activation gradient")


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
    figure = memory_figure(results)
    tables = [
        step_table(
            *(results, _of(figure, metric), caption),
            write=format_mib,
            folded=metric in folded,
        )
        for metric, caption in (captions | folded).items()
        if any(metric in record.metrics for record in results.group("memory"))
    ]
    return [*tables, *device_tables(results), *_whole_set_table(results)]


def _of(figure: Figure, metric: str) -> Figure:
    """Take a different metric of a step; only the figure's own is at its meter's resolution."""
    return figure if metric == figure.metric else replace(figure, metric=metric, resolution=0.0)


def _whole_set_table(results: Results) -> list[Table]:
    """Tabulate the cases over a client's whole data set, in micro-batches."""
    memory = step_memory(results)
    records = [r for r in results.group("memory") if r.config.get("images", 0) > r.config["batch"]]
    rows = [
        (
            Cell(label(record.config["model"])),
            Cell(method_label(record.config["method"])),
            Cell(f"{record.config['images']} by {record.config['batch']}"),
            metric_cell(results, record.case, memory.above, format_mib, memory.resolution_bytes),
            metric_cell(results, record.case, memory.whole, format_mib),
        )
        for record in records
    ]
    columns = ("Model", "Method", "Images", "Above the baseline", "Total")
    caption = (
        f"Peak {memory.name} over a client’s whole data set in micro-batches, MiB:"
        " median (smallest–largest)"
    )
    return [Table(caption=caption, columns=columns, rows=tuple(rows))] if rows else []


def low_memory_tables(results: Results) -> list[Table]:
    """Tabulate the low-memory steps of each model next to the plain ones."""
    figure = memory_figure(results)
    tables = []
    for model in results.models("memory"):
        names = (*METHODS, *LOW_MEMORY_METHODS)
        cases = {name: figure.case(model, name, BATCH) for name in names}
        records = {name: r for name, case in cases.items() if (r := results.record(case))}
        if records.keys() & LOW_MEMORY_METHODS.keys():
            tables.append(_low_memory_table(results, model, records))
    return tables


def _low_memory_table(results: Results, model: str, records: dict[str, Record]) -> Table:
    memory = step_memory(results)
    return Table(
        caption=(
            f"Steps that need less memory, {label(model)}, batch {BATCH}: tensors at the peak, MiB"
            f" and share by category; peak {memory.name} above the baseline and whole; time per"
            " round"
        ),
        columns=(
            *("Variant", "Made in the step", "Weights", "Gradients", "Activations"),
            *("Activation gradients", "Other", f"{memory.column}, MiB", "Whole process, MiB"),
            "Round, s",
        ),
        rows=tuple(
            (
                Cell(method_label(method)),
                metric_cell(results, record.case, "tensor_peak_above_baseline", format_mib),
                *_shares(record),
                metric_cell(
                    results, record.case, memory.above, format_mib, memory.resolution_bytes
                ),
                metric_cell(results, record.case, memory.whole, format_mib),
                _time(results, model, method),
            )
            for method, record in records.items()
        ),
        labels=1,
    )


def _shares(record: Record) -> Sequence[Cell]:
    details = record.details_as(MemoryDetails)
    by_category = details.tensor_by_category if details else {}
    total = sum(by_category.values())
    if not total:
        return [Cell(MISSING)] * (len(_CATEGORIES) + 1)
    parts = [by_category.get(category, 0) for category in _CATEGORIES]
    parts.append(total - sum(parts))
    return [Cell(format_mib(part) if part else "0", _share(part / total)) for part in parts]


def _share(share: float) -> str:
    return "< 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def _time(results: Results, model: str, method: str) -> Cell:
    value = ROUND.value(results, model, method, BATCH)
    return Cell(MISSING if value is None else format_number(value))


SECTION = Section(
    group="memory",
    title="Peak memory of one step",
    short="Peak memory",
    lead=(
        "The high-water mark of a fresh process during one training step, minus the memory it used"
        " just before. On a GPU it is device memory. Inference is two forwards in a row, as many as"
        " one ZO direction takes."
    ),
    tables=(memory_tables, low_memory_tables, arithmetic_tables),
    definitions={
        "Peak memory": (
            "Each sample is a fresh process that first runs one unmeasured step. The baseline is"
            " read just before the measured region, after garbage collection and a heap trim, so it"
            " includes weights, batch and libraries. The C library is set to return freed blocks"
            " at once (MALLOC_MMAP_THRESHOLD_); with its default, glibc keeps some of them, and"
            " figures are larger and vary more. On a GPU the peak counts live tensors in torch’s"
            " CUDA allocator, and the whole process is what the driver reports at the end of the"
            " step. MiB = 2²⁰ bytes."
        ),
        "Precision": (
            "The compute dtype of all steps, whatever the process is set to: fp32 is full float32"
            " (TF32 off), fp16 and bf16 are autocast of ZO’s forwards. Records from before it was"
            " recorded have none."
        ),
    },
    table_definitions={
        "Steps that need less memory": (
            "Each variant is checked to take the same step as plain backprop or ZO, to 10⁻⁵ of the"
            " update; backprop of a part takes that part. Tensors are counted at torch’s"
            " dispatcher. A gradient is the loss’s derivative by a weight; everything else that the"
            " backward pass makes is an activation gradient."
        ),
    },
)
