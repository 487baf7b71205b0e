"""Peak host memory of one step: inference, ZO, FedAvg; each sample from a fresh process."""

from __future__ import annotations

from typing import Any

import devices
from bench.cases import with_parameters
from bench.record import Metric, median
from bench.scales import Scale
from bench.suite import Suite
from bench.workloads import STEP_METHODS

_MIB = 2**20
_TIMEOUT_S = 300.0


def _cases(scale: Scale) -> list[tuple[str, str, int]]:
    return [
        (model, method, batch)
        for model in scale.memory_models
        for batch in scale.memory_batches
        for method in STEP_METHODS
    ]


@with_parameters("model, method, batch", _cases)
def test_step_memory(suite: Suite, model: str, method: str, batch: int) -> None:
    """Measure baseline and peak in as many fresh processes as the scale says."""
    runs = [
        devices.run_isolated(
            "bench.workloads:measure_step_memory", model, method, batch, timeout_s=_TIMEOUT_S
        )
        for _ in range(suite.scale.memory_processes)
    ]
    failed = [run for run in runs if run.status != "ok"]
    measurements = [run.value for run in runs if run.status == "ok"]
    metrics = {} if failed else _metrics(measurements)
    suite.record(
        case=f"memory/{model}/{method}/b{batch}",
        config={
            "model": model,
            "method": method,
            "batch": batch,
            "processes": suite.scale.memory_processes,
        },
        metrics=metrics,
        details={"measurements": measurements},
        status=failed[0].status if failed else "ok",
        error=failed[0].error if failed else None,
        headline="" if failed else _headline(metrics),
    )


def _metrics(measurements: list[dict[str, Any]]) -> dict[str, Metric]:
    names = {
        "peak_above_baseline": "peak_above_baseline_bytes",
        "peak": "peak_bytes",
        "baseline": "baseline_bytes",
    }
    return {
        name: median(
            [m[field]["value"] for m in measurements], "byte", measurements[0][field]["method"]
        )
        for name, field in names.items()
    }


def _headline(metrics: dict[str, Metric]) -> str:
    above, total = metrics["peak_above_baseline"].value, metrics["peak"].value
    assert above is not None
    assert total is not None
    return f"{above / _MIB:7.1f} MiB above the loaded model, {total / _MIB:6.1f} MiB in all"
