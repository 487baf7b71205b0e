"""Run in fresh processes by the tests of this folder."""

from __future__ import annotations

import sys

HEAVY = (
    "torch._dynamo",
    *("matplotlib", "sklearn", "pytest", "onnxruntime", "pandas", "torchinfo"),
)


def heavy_imports_of_a_step(method: str) -> list[str]:
    """Measure a step; name the heavy libraries that this process then holds."""
    from bench.workloads.steps import measure_step_memory

    measure_step_memory("cnn", method, 2)
    return [name for name in HEAVY if name in sys.modules]


def heavy_imports_of_a_training() -> list[str]:
    """Train on the digits and count a client's tensors; name the heavy libraries held then."""
    from bench.sweeps.worker import run_cells

    few = {"clients": 4, "warmup_cohort": 1, "high_share": 0.25}
    run_cells([{"dataset": "digits", "rounds": 2, "pivot": 1, "eval_every": 1, **few}])
    return [name for name in HEAVY if name in sys.modules]
