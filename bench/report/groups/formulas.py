"""The paper's Table 1: as printed, recomputed from its formulas, and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.format import MISSING, format_megabytes, format_number
from bench.labels import label
from bench.paper import BATCH, MB
from bench.records.case_name import CaseName
from bench.records.details.formulas import (
    Count,
    CountsDetails,
    Listing,
    ResidualTerms,
    Table1Details,
    Table1Row,
    Term,
)
from bench.records.record import Record
from bench.records.record_index import Results
from bench.report.section import Section
from bench.report.table import Cell, Table
from zo_core import cost_model

TABLE_1 = CaseName.of("formulas", "table1")
_LEAST_MB = 0.05  # rounds to 0.1
_HOW = "VmHWM above the loaded model, plus the 4P bytes of the loaded weights"
_HOW_ON_DEVICE = "peak of device memory allocated by torch, weights and inputs included"


def formula_tables(results: Results) -> list[Table]:
    """Tabulate Table 1, the terms between formula and measurement, and the counts."""
    table1 = results.record(TABLE_1)
    counts = results.record(CaseName.of("formulas", "counts"))
    tables = []
    if table1 and table1.details_as(Table1Details):
        tables.append(_table1(table1, table1_rows(results)))
        tables += [_residual(method, found) for method, found in residuals(results).items()]
    found = counts.details_as(CountsDetails) if counts else None
    if found:
        tables.append(_counts(found.rows))
        if found.listings:
            tables.append(_listings(found.listings))
    return tables


def _table1(record: Record, rows: Sequence[Table1Row]) -> Table:
    config = record.config
    order = [row.quantity for row in rows]
    return Table(
        caption=(
            f"Table 1 of the paper ({label(config['model'])}, batch {config['batch']},"
            f" S = {config['directions']}, K = {config['cohort']}), {rows[0].unit} = 10⁶ bytes"
        ),
        columns=(
            *("Quantity", "Method", "As printed", "Recomputed", "Measured"),
            *("Measured − recomputed", "Formula; meter; remark"),
        ),
        rows=tuple(map(_table1_row, sorted(rows, key=lambda row: order.index(row.quantity)))),
        prose=True,
    )


def _table1_row(row: Table1Row) -> tuple[Cell, ...]:
    measured, recomputed = row.measured, row.recomputed
    remarks = (row.formula, row.measured_how, row.note)
    return (
        Cell(row.quantity),
        Cell(label(row.method)),
        Cell(_amount(row.printed)),
        Cell(_amount(recomputed)),
        Cell(_amount(measured)),
        Cell(MISSING if measured is None else _signed(measured - recomputed)),
        Cell("; ".join(remark for remark in remarks if remark)),
    )


def _residual(method: str, found: Residual) -> Table:
    """Tabulate the steps from a formula to the measurement, one difference per row."""

    def row(name: str, size_bytes: float, how: str) -> tuple[Cell, ...]:
        return Cell(name), Cell(format_megabytes(size_bytes / 1e6)), Cell(how)

    share = f"{100 * found.unexplained_share:.2f} % of the measurement"
    default = " to ".join(format_megabytes(f(found.default_bytes) / 1e6) for f in (min, max))
    rows = [
        row("formula", found.formula_bytes, "eq. 4" if method == "fedavg" else "eq. 5"),
        *(row(term.term, term.bytes, term.how) for term in found.terms),
        row("unexplained", found.unexplained_bytes, share),
        row("measured", found.measured_bytes, f"{default} MB when glibc keeps freed blocks"),
    ]
    return Table(
        caption=f"From formula to measurement, term by term, {label(method)}, MB",
        folded=True,
        columns=("Term", "MB", "How it was measured"),
        rows=tuple(rows),
        labels=1,
        prose=True,
    )


def _amount(value: float | str | None) -> str:
    """Write the paper's MB; what would round to 0 in bytes."""
    if isinstance(value, float) and 0 < abs(value) < _LEAST_MB:
        return f"{value * MB:,.0f} B".replace("-", "−")
    return format_megabytes(value)


def _signed(residual: float) -> str:
    return f"{'+' if residual > 0 else ''}{_amount(residual)}"


def _counts(counts: Sequence[Count]) -> Table:
    rows = [
        (
            Cell(row.quantity),
            *(Cell(_number(number)) for number in (row.expected, row.found)),
            Cell(_deviation(row.expected, row.found)),
            Cell(row.source),
        )
        for row in counts
    ]
    return Table(
        caption="The counts that the formulas rest on",
        folded=True,
        columns=("Quantity", "Expected", "Found", "Difference", "Source of the expected value"),
        rows=tuple(rows),
        labels=1,
        prose=True,
    )


def _listings(listings: Sequence[Listing]) -> Table:
    """Tabulate torchinfo's counts next to ours, which the suite uses for every other model."""
    rows = [
        (
            Cell(label(row.model)),
            Cell(row.quantity),
            *(Cell(_number(number)) for number in (row.torchinfo, row.counted)),
            Cell(_deviation(row.counted, row.torchinfo)),
        )
        for row in listings
    ]
    return Table(
        caption=(
            "torchinfo’s counts next to ours, at torch’s dispatcher: torchinfo leaves out tokens,"
            " attention and functional calls"
        ),
        folded=True,
        columns=("Model", "Quantity", "torchinfo", "Counted here", "torchinfo’s difference"),
        rows=tuple(rows),
        labels=2,
        prose=True,
    )


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else format_number(value, 4)


def _deviation(expected: float, found: float) -> str:
    if expected == found:
        return "none"
    return f"{100 * (found - expected) / expected:+.3f} %".replace("-", "−")


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """The difference between a formula and the measured process, term by term."""

    formula_bytes: float
    measured_bytes: float  # the process above its baseline, and the weights
    terms: tuple[Term, ...]
    default_bytes: tuple[float, ...]  # processes in which the C library may keep freed blocks

    @property
    def unexplained_bytes(self) -> float:
        """What the terms leave over."""
        explained = sum(term.bytes for term in self.terms)
        return self.measured_bytes - self.formula_bytes - explained

    @property
    def unexplained_share(self) -> float:
        """The same as a share of the measurement."""
        return self.unexplained_bytes / self.measured_bytes


def table1_rows(results: Results) -> tuple[Table1Row, ...]:
    """Return Table 1's rows, those of memory with the memory cases' measurements."""
    details = _details(results)
    return tuple(_with_memory(results, row) for row in details.rows) if details else ()


def residuals(results: Results) -> Mapping[str, Residual]:
    """Join each method's terms with its measured memory; a method that lacks either is left out."""
    details = _details(results)
    found = {}
    for method, terms in details.residual.items() if details else ():
        measured = measured_bytes(results, method)
        if isinstance(terms, ResidualTerms) and measured is not None:
            found[method] = Residual(
                formula_bytes=terms.formula_bytes,
                measured_bytes=measured,
                terms=terms.terms,
                default_bytes=terms.default_bytes,
            )
    return found


def measured_bytes(results: Results, method: str) -> float | None:
    """Return the memory of a step of ResNet18, the weights included; None where not measured.

    The formulas count the weights, which the measured baseline holds.
    """
    case = CaseName.memory("resnet18", method, BATCH)
    record = results.record(case)
    if record is None or record.status != "ok" or record.config.get("device") != "cpu":
        return None
    above = results.value(case, "peak_above_baseline")
    weights = cost_model.FLOAT_BYTES * cost_model.resnet18_parameters()
    return None if above is None else above + weights


def _details(results: Results) -> Table1Details | None:
    record = results.record(TABLE_1)
    return record.details_as(Table1Details) if record else None


def _with_memory(results: Results, row: Table1Row) -> Table1Row:
    if row.quantity != "memory":
        return row
    measured, how = measured_bytes(results, row.method), _HOW
    if measured is None:
        measured, how = _on_device(results, row.method), _HOW_ON_DEVICE
    return row if measured is None else replace(row, measured=measured / MB, measured_how=how)


def _on_device(results: Results, method: str) -> float | None:
    """Return the device memory of a step of ResNet18; None where it did not run on one."""
    return results.value(CaseName.memory("resnet18", method, BATCH), "device_allocated")


SECTION = Section(
    group="formulas",
    title="The paper’s Table 1 against measurement",
    short="Paper’s Table 1",
    lead=(
        "Legate, Rish and Belilovsky, arXiv 2509.03503. Each figure has three columns: as printed,"
        " recomputed from its formula, and measured here."
    ),
    tables=(formula_tables,),
    definitions={
        "Freed blocks": (
            "Peaks are measured with a C library that returns freed blocks at once. Term by term,"
            " the table also has the peak when glibc keeps them, as it does by default."
        ),
    },
)
