"""The group of language models: what its workloads and its table say."""

from __future__ import annotations

import pytest
from optional import needs

from bench.cases.bench_llm import _round_bytes, _step_metrics
from bench.groups import GROUPS
from bench.records.record import Metric, Record, provenance
from bench.records.record_index import Results
from bench.report.groups.llm import llm_tables
from bench.suite.suite import parse_groups
from bench.workloads.llm import measure_lm_step, predict_lm_tensors

needs_transformers = needs("transformers")
TINY = "lm:tiny-llama@16"


@needs_transformers
def test_a_zo_steps_tensors_are_inferences() -> None:
    inference, zo = (measure_lm_step(TINY, method, 2) for method in ("inference", "zo"))
    peaks = [found.tensor_peak_bytes for found in (inference, zo)]
    assert peaks[0] <= peaks[1] <= 1.02 * peaks[0]
    assert all(ratio > 0 for ratio in zo.perturb_per_add)
    metrics = _step_metrics(zo)
    assert metrics["tensor_peak"].value == peaks[1]
    assert all(metrics[name].value is not None for name in ("step", "peak", "perturb / add"))
    assert zo.parameters == inference.parameters == 230_272


@needs_transformers
def test_what_backprop_holds_is_ordered_by_what_it_saves() -> None:
    peaks = {step.variant: step.bytes for step in predict_lm_tensors(TINY, [1])}
    assert peaks["forward"] < peaks["layerwise"] < peaks["checkpointed"] <= peaks["plain"]
    measured = measure_lm_step(TINY, "inference", 1).tensor_peak_bytes
    assert peaks["forward"] == pytest.approx(measured, rel=0.01)


def test_zeroth_order_bytes_do_not_know_the_models_size() -> None:
    small, large = _round_bytes(10**3), _round_bytes(10**6)
    assert large["fedavg"]["up"] - small["fedavg"]["up"] == 4 * (10**6 - 10**3)
    for method in ("fedkseed", "one-step, S = 1", "one-step, S = 3"):
        assert small[method] == large[method]
    assert small["one-step, S = 3"]["up"] - small["one-step, S = 1"]["up"] == 8


def test_the_group_runs_only_where_it_is_asked_for() -> None:
    assert "llm" not in GROUPS
    assert parse_groups("llm,bytes", "default")[0] == ("bytes", "llm")


def test_a_step_that_does_not_fit_is_a_row() -> None:
    def record(case: str, status: str) -> Record:
        return Record(
            case=case,
            group="llm",
            case_version=1,
            status=status,
            config={"limit_bytes": 1 << 33},
            metrics={"tensor_peak": Metric.single(3 << 20, "byte", "counted")}
            if status == "ok"
            else {},
            details={"phase": "tracked step"},
            provenance=provenance("default", {}),
        )

    records = [record("llm/a/zo/b1", "ok"), record("llm/a/fedavg/b1", "does not fit")]
    (table,) = llm_tables(Results.of(records))
    words = [[cell.text for cell in row] for row in table.rows]
    assert words == [
        ["a/zo/b1", "tensor peak", "3 MiB"],
        ["a/fedavg/b1", "does not fit", "–"],
    ]
    assert llm_tables(Results.of([])) == []
