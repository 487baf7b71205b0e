from __future__ import annotations

from typing import Any

import pytest

from bench.cases.residual import Evidence, residual
from zo_core.cost_model import ActivationCounts

PARAMETERS, BATCH = 1000, 8
COUNTS = ActivationCounts(total=500, largest=100)


def evidence(**changes: Any) -> Evidence:
    known: dict[str, Any] = {
        "parameters": 4000,
        "gradients": 0,
        "activation_gradients": 0,
        "layer_outputs": 4 * 8 * 100,
        "saved": 0,
        "tensors_above_baseline": 3200,
        "allocator_above_baseline": 3200,
        "process_above_baseline": 3200.0,
        "default_above_baseline": (4000.0,),
    }
    return Evidence(**(known | changes))


def test_a_zo_step_of_one_map_and_one_copy_differs_from_eq_5_by_the_second_copy() -> None:
    found = residual("zo", PARAMETERS, COUNTS, BATCH, evidence())
    assert found["formula_bytes"] == 4 * (2 * PARAMETERS + BATCH * 100)
    assert found["measured_bytes"] == 4 * PARAMETERS + 3200
    assert [t["bytes"] for t in found["terms"] if t["bytes"]] == [-4 * PARAMETERS]
    assert found["unexplained_bytes"] == 0


def test_a_step_of_backprop_that_holds_what_eq_4_counts_has_no_residual() -> None:
    outputs = 4 * BATCH * COUNTS.total
    held = outputs + 4000
    found = residual(
        "fedavg",
        PARAMETERS,
        COUNTS,
        BATCH,
        evidence(
            gradients=4000,
            layer_outputs=outputs,
            tensors_above_baseline=held,
            allocator_above_baseline=held,
            process_above_baseline=held,
        ),
    )
    assert found["measured_bytes"] == found["formula_bytes"]
    assert all(term["bytes"] == 0 for term in found["terms"])


@pytest.mark.parametrize("method", ["zo", "fedavg"])
@pytest.mark.parametrize(
    ("fields", "moved"),
    [
        (("allocator_above_baseline",), -70),
        (("allocator_above_baseline", "process_above_baseline"), 0),
        (("process_above_baseline",), 70),
    ],
)
def test_terms_and_rest_always_sum_to_the_measurement(
    method: str, fields: tuple[str, ...], moved: int
) -> None:
    base = evidence()
    changed = evidence(**{name: getattr(base, name) + 70 for name in fields})
    before = residual(method, PARAMETERS, COUNTS, BATCH, base)
    after = residual(method, PARAMETERS, COUNTS, BATCH, changed)
    for found in (before, after):
        terms = sum(term["bytes"] for term in found["terms"])
        total = found["formula_bytes"] + terms + found["unexplained_bytes"]
        assert total == pytest.approx(found["measured_bytes"])
    assert after["unexplained_bytes"] - before["unexplained_bytes"] == moved
