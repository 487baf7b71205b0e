"""The session settings that a trial goes through, and how an edge round is put into a plan."""

from __future__ import annotations

import atexit
import tempfile
from dataclasses import replace
from functools import cache
from typing import Any

import devices
from zo_core.edge.onnx_loss import MODES, SessionSettings

_TIMEOUT_S = 600.0


def settings_to_try() -> dict[str, SessionSettings]:
    """Name the settings: both modes, and "speed" with one thing changed at a time."""
    base = MODES["speed"]
    return {
        **MODES,
        "no arena": replace(base, arena=False, memory_pattern=False),
        "no memory pattern": replace(base, memory_pattern=False),
        "one thread": replace(base, threads=1),
        "no spinning": replace(base, spinning=False),
        "optimisation none": replace(base, optimisation="none"),
        "optimisation basic": replace(base, optimisation="basic"),
        "optimisation extended": replace(base, optimisation="extended"),
    }


def make_plan(model: str, client: str, size: tuple[int, int, int]) -> dict[str, Any]:
    """Make the fields of a :class:`bench.workloads.edge.Plan`.

    Args:
        model: by name; exported first for a client on ONNX Runtime.
        client: a name in bench.workloads.edge.CLIENTS.
        size: images, micro-batch, directions.

    Raises:
        RuntimeError: the export failed.
    """
    images, micro_batch, directions = size
    return {
        "client": client,
        "source": exported(model) if client.startswith("onnx") else model,
        "images": images,
        "micro_batch": micro_batch,
        "directions": directions,
    }


@cache
def exported(model: str) -> str:
    """Export a model once a run, into a folder that ends with this process."""
    folder = tempfile.TemporaryDirectory(prefix="zobench-export-")
    atexit.register(folder.cleanup)
    run = devices.run_isolated(
        "bench.workloads.edge:export", model, folder.name, timeout_s=_TIMEOUT_S
    )
    if run.status != "ok":
        raise RuntimeError(f"{model} was not exported: {run.error}")
    return folder.name
