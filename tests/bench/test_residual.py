from __future__ import annotations

from typing import Any

import pytest
import sample_records as sample

from bench.cases.formula_residual import Evidence, residual_terms
from bench.records.details.formulas import Table1Details, Table1Row
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.records.typed_json import to_json
from bench.report.groups.formulas import Residual, residuals, table1_rows
from zo_core.cost_model import ActivationCounts, resnet18_parameters

PARAMETERS, BATCH = 1000, 8
COUNTS = ActivationCounts(total=500, largest=100)


def residual(method: str, seen: Evidence, process_above: float) -> Residual:
    terms = residual_terms(method, PARAMETERS, COUNTS, BATCH, seen)
    return Residual(
        formula_bytes=terms.formula_bytes,
        measured_bytes=4 * PARAMETERS + process_above,
        terms=terms.terms,
        default_bytes=terms.default_bytes,
    )


def evidence(**changes: Any) -> Evidence:
    known: dict[str, Any] = {
        "parameters": 4000,
        "gradients": 0,
        "activation_gradients": 0,
        "layer_outputs": 4 * 8 * 100,
        "saved": 0,
        "tensors_above_baseline": 3200,
        "allocator_above_baseline": 3200,
        "default_above_baseline": (4000.0,),
    }
    return Evidence(**(known | changes))


def test_a_zo_step_of_one_map_and_one_copy_differs_from_eq_5_by_the_second_copy() -> None:
    found = residual("zo", evidence(), 3200)
    assert found.formula_bytes == 4 * (2 * PARAMETERS + BATCH * 100)
    assert found.measured_bytes == 4 * PARAMETERS + 3200
    assert [t.bytes for t in found.terms if t.bytes] == [-4 * PARAMETERS]
    assert found.unexplained_bytes == 0


def test_a_step_of_backprop_that_holds_what_eq_4_counts_has_no_residual() -> None:
    outputs = 4 * BATCH * COUNTS.total
    held = outputs + 4000
    found = residual(
        "fedavg",
        evidence(
            gradients=4000,
            layer_outputs=outputs,
            tensors_above_baseline=held,
            allocator_above_baseline=held,
        ),
        held,
    )
    assert found.measured_bytes == found.formula_bytes
    assert all(term.bytes == 0 for term in found.terms)


@pytest.mark.parametrize("method", ["zo", "fedavg"])
@pytest.mark.parametrize(
    ("allocator", "process", "moved"), [(70, 0, -70), (70, 70, 0), (0, 70, 70)]
)
def test_terms_and_rest_always_sum_to_the_measurement(
    method: str, allocator: int, process: int, moved: int
) -> None:
    base = evidence()
    changed = evidence(allocator_above_baseline=base.allocator_above_baseline + allocator)
    before = residual(method, base, 3200)
    after = residual(method, changed, 3200 + process)
    for found in (before, after):
        terms = sum(term.bytes for term in found.terms)
        total = found.formula_bytes + terms + found.unexplained_bytes
        assert total == pytest.approx(found.measured_bytes)
    assert after.unexplained_bytes - before.unexplained_bytes == moved


def test_table_1_takes_its_memory_from_the_memory_cases_of_the_same_folder() -> None:
    row = Table1Row(
        quantity="memory",
        method="zo",
        unit="MB",
        printed="89.4",
        recomputed=106.2,
        formula="eq. 5",
        measured=None,
        measured_how="not measured in this run",
        note="",
    )
    terms = residual_terms("zo", PARAMETERS, COUNTS, BATCH, evidence())
    details = Table1Details(rows=(row,), notes=(), predictions=(), residual={"zo": terms})
    table = sample.record("formulas/table1", {}, details=to_json(details))
    peak = {"peak_above_baseline": Metric.single(3200, "byte", "VmHWM")}
    memory = sample.record("memory/resnet18/zo/b64", {"device": "cpu"}, peak)
    weights = 4 * resnet18_parameters()

    (joined,) = table1_rows(Results.of([table, memory]))
    assert joined.measured == (3200 + weights) / 1e6
    assert residuals(Results.of([table, memory]))["zo"].measured_bytes == 3200 + weights
    assert table1_rows(Results.of([table])) == (row,)
    assert residuals(Results.of([table])) == {}
