"""The law of the counts: predicted and tracked peaks are the process's, within 5 % + 8 MiB.

Above the loaded model, of a step on the CPU, tensors and kernels' buffers together. What a process
may need beyond that is named in `NAMED`.
"""

from __future__ import annotations

from typing import Any

import counted_models
import pytest

import devices
from bench.workloads.steps import BESIDE_OTHERS, RETURN_BLOCKS, STEP_METHODS

MIB = 2**20
OWN = [
    f"counted_models:{name}"
    for name, made in vars(counted_models).items()
    if callable(made) and made.__module__ == "counted_models" and not name.startswith("_")
]
SUITE = ["resnet18", "vit", "cnn", "small_resnet"]
LOW_MEMORY = ("backprop-accumulated", "backprop-checkpointed", "backprop-layerwise", "zo-by-1")
# More than tensors and buffers, as a share of them: (model, method) -> (share, what it is).
NAMED = {
    ("counted_models:lstm", "fedavg"): (0.35, "oneDNN touches a part of the workspace it reserves"),
}


def counts_of(model: str, methods: tuple[str, ...], batch: int) -> Any:
    run = devices.run_isolated(
        *("bench_children:counts_of_steps", model, list(methods), batch),
        env=RETURN_BLOCKS | BESIDE_OTHERS,
        timeout_s=500,
    )
    assert run.status == "ok", run.error
    return run.value


def difference(model: str, method: str, figures: dict[str, float], name: str) -> str | None:
    process, counted = figures["process"], figures[name]
    share, _ = NAMED.get((model, method), (0.05, ""))
    if abs(process - counted) <= share * max(process, counted) + 8 * MIB:
        return None
    return f"{model} {method}: {name} {counted / MIB:.1f}, process {process / MIB:.1f} MiB"


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.process
@pytest.mark.parametrize("model", OWN)
def test_predicted_tracked_and_process_peaks_agree_for_layers_of_all_kinds(model: str) -> None:
    items = len(getattr(counted_models, model.split(":")[1])()[1][0])
    found = counts_of(model, STEP_METHODS, items)
    assert list(found) == list(STEP_METHODS)
    problems = [
        difference(model, method, figures, name)
        for method, figures in found.items()
        for name in ("tracked", "predicted")
    ]
    assert [problem for problem in problems if problem] == []


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.process
@pytest.mark.parametrize(("model", "batch"), [(model, 16) for model in SUITE])
def test_tracked_and_process_peaks_agree_for_the_suites_models_and_methods(
    model: str, batch: int
) -> None:
    found = counts_of(model, (*STEP_METHODS, *LOW_MEMORY), batch)
    problems = [difference(model, method, f, "tracked") for method, f in found.items()]
    problems += [difference(model, m, found[m], "predicted") for m in STEP_METHODS]
    assert [problem for problem in problems if problem] == []
