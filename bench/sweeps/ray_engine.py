"""Cells on a Ray cluster; Ray places each by the core, and the GPU, that it asks for.

Every node needs this suite installed, and the data at the same path.  The forwards' last bits
depend on a node's processor, so runs compare to the digit between nodes of one kind.
"""

from __future__ import annotations

from typing import Any

from bench.sweeps.cell import CellResult
from bench.sweeps.task import Task, execute, failed


class RayEngine:
    """A cluster's processes: a task takes one core, and one GPU where it trains on CUDA."""

    def __init__(self, address: str | None, *, workers: int | None, device: str) -> None:
        self._ray = _import_ray()
        try:
            self._ray.init(address=address or "auto", log_to_driver=False, logging_level="error")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConnectionError(
                f"no Ray cluster answers at {address or 'auto'} ({error});"
                " start one with `ray start --head`, or leave --engine at local"
            ) from error
        gpus = 1 if device == "cuda" else 0
        self._remote = self._ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(execute)
        held = int(self._ray.cluster_resources().get("GPU" if gpus else "CPU", 0))
        if held < 1:
            self._ray.shutdown()
            raise ValueError(f"the Ray cluster has no {'GPU' if gpus else 'core'} to train on")
        self._slots = min(workers or held, held)
        self._running: dict[Any, Task] = {}

    @property
    def slots(self) -> int:
        """Tasks that it runs at a time."""
        return self._slots

    def start(self, task: Task) -> None:
        """Begin a task on some node."""
        self._running[self._remote.remote(task)] = task

    def next_ended(self) -> list[CellResult]:
        """Wait for the task that ends first; one whose node is lost has failed."""
        (first,), _ = self._ray.wait(list(self._running), num_returns=1)
        task = self._running.pop(first)
        try:
            results: list[CellResult] = self._ray.get(first)
        except self._ray.exceptions.RayError as error:
            return failed(task, "lost", f"{type(error).__name__}: {error}")
        return results

    def close(self) -> None:
        """Leave the cluster, which goes on; a task that still runs there is given up."""
        self._ray.shutdown()


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImportError('--engine ray needs Ray: pip install "zobench[cluster]"') from error
    return ray
