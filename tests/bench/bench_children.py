"""Run in fresh processes by the tests of this folder."""

from __future__ import annotations

import sys

HEAVY = (
    "torch._dynamo",
    *("matplotlib", "sklearn", "pytest", "onnxruntime", "pandas", "torchinfo"),
)


def heavy_imports_of_a_step(method: str) -> list[str]:
    """Measure a step; name the heavy libraries that this process then holds."""
    from bench.workloads import measure_step_memory

    measure_step_memory("cnn", method, 2)
    return [name for name in HEAVY if name in sys.modules]
