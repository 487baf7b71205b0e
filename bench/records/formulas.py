"""Table 1's memory joined with the memory cases of the same folder, when a report is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.paper import BATCH, MB
from bench.records.case_name import CaseName
from bench.records.details.formulas import ResidualTerms, Table1Details, Table1Row, Term
from bench.records.record_index import Results
from zo_core import cost_model

TABLE_1 = CaseName.of("formulas", "table1")
_HOW = "VmHWM above the loaded model, plus the 4P bytes of the loaded weights"
_HOW_ON_DEVICE = "peak of device memory allocated by torch, weights and inputs included"


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
