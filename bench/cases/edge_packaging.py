"""What a client without torch needs on a device: bytes of the installed packages, import time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import devices
from bench.records.details.machine import PackagingDetails
from bench.records.record import Metric

_BASE = "zobench"  # its requirements without extras
_REPEATS = 3
_IMPORTS = {
    "client": "zo_core.edge.load,zo_core.algorithms.steps.zeroth_order,onnxruntime",
    "torch": "torch,zo_core.loss.module_loss,zo_core.algorithms.steps.zeroth_order",
}
_TIME = "import in a fresh process, files in the page cache"
_SIZE = "files of the installed distributions and all that they require"


def packaging_metrics() -> tuple[dict[str, Metric], PackagingDetails]:
    """Weigh what each client needs installed, and time its imports; packages by their bytes."""
    metrics: dict[str, Metric] = {}
    sizes: dict[str, dict[str, int]] = {}
    for client, roots in (("client", (_BASE, "onnxruntime")), ("torch", (_BASE, "torch"))):
        sizes[client] = {name: _distribution_bytes(name) for name in sorted(closure(roots))}
        metrics[f"{client}_size"] = Metric.single(sum(sizes[client].values()), "byte", _SIZE)
        runs = [
            devices.run_isolated("bench.workloads.edge:seconds_to_import", _IMPORTS[client])
            for _ in range(_REPEATS)
        ]
        failed = next((run for run in runs if run.status != "ok"), None)
        metrics[f"{client}_import"] = (
            Metric.unmeasured("second", f"{failed.status}: {failed.error}")
            if failed
            else Metric.median([float(run.value) for run in runs], "second", _TIME)
        )
    return metrics, PackagingDetails(**sizes)


def closure(roots: Iterable[str]) -> set[str]:
    """List installed distributions and what they require here, extras left out."""
    found: set[str] = set()
    waiting = [name.lower() for name in roots]
    while waiting:
        name = waiting.pop()
        if name in found or not _is_installed(name):
            continue
        found.add(name)
        for requirement in metadata.requires(name) or ():
            needed, _, marker = requirement.partition(";")
            if "extra" not in marker:
                waiting.append(re.split(r"[^A-Za-z0-9._-]", needed.strip())[0].lower())
    return found


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _distribution_bytes(name: str) -> int:
    """Add up a distribution's files, compiled bytecode left out: it is made on the device."""
    files = metadata.distribution(name).files or ()
    paths = (Path(str(file.locate())) for file in files if file.suffix != ".pyc")
    return sum(path.stat().st_size for path in paths if path.is_file())
