"""Run in fresh processes by the tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

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


def counts_of_steps(model: str, methods: list[str], batch: int) -> dict[str, dict[str, float]]:
    """Take each method's step; return its peaks above the loaded model, in bytes.

    "process" is the system's, "tracked" counts tensors and kernels' buffers, "predicted" the same
    without the memory, where there is a prediction.
    """
    import devices
    from bench.fit.prediction import predict_tensors
    from bench.models.load import load_model
    from bench.workloads.steps import STEP_METHODS, bind_step, measure_tensor_peaks
    from devices.tensor_peak import TensorPeak

    loaded = load_model(model)
    found = {}
    for method in methods:
        step = bind_step(loaded.module, *loaded.batch(batch), method, micro_batch=batch)
        step()
        with devices.measure() as region:
            step()
        tracked = measure_tensor_peaks(model, [method], batch)[method]
        assert isinstance(tracked, TensorPeak)
        found[method] = {
            "process": region.peak_above_baseline_bytes.value or 0.0,
            "tracked": tracked.with_buffers_bytes - tracked.baseline_bytes,
        }
    held = [*loaded.module.parameters(), *loaded.module.buffers(), *loaded.batch(batch)]
    held_bytes = sum(tensor.numel() * tensor.element_size() for tensor in held)
    predictable = [method for method in methods if method in STEP_METHODS]
    for step_found in predict_tensors(model, predictable, [batch], None):
        assert step_found.how == "fake tensors"
        found[step_found.method]["predicted"] = step_found.bytes - held_bytes
    return found


def peaks_of_forwards(folder: str, items: int, forwards: int) -> list[int]:
    """Return this process's high-water mark after each forward of an exported model, in bytes."""
    import numpy as np

    from devices.memory import read_host_memory
    from zo_core.edge.load import load_replica
    from zo_core.edge.manifest import read_manifest

    path = Path(folder)
    replica, shape = load_replica(path, mode="speed"), read_manifest(path).input_shape
    x, y = np.ones((items, *shape), np.float32), np.zeros(items, np.int64)
    peaks = []
    for _ in range(forwards):
        replica.mean_loss(x, y)
        peaks.append(read_host_memory().peak_rss_bytes or 0)
    return peaks
