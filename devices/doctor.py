"""Try what a run will use, and say what to do where it is not as it should be.

Each check looks at one thing and returns a finding. On a copied tree only the checks of files run.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.accelerator import find_accelerator
from devices.commands import HERE
from devices.cuda_trial import why_no_cuda
from devices.doctor_memory import MEMORY_CHECKS
from devices.doctor_speed import SPEED_CHECKS
from devices.files import exists
from devices.finding import Finding
from devices.jetson import l4t_version
from devices.limits import why_no_limit
from devices.reading import to_plain
from devices.wheels import wheel_advice

_NEEDED_DISK_BYTES = 2 << 30
_TRIAL_LIMIT_BYTES = 256 << 20
_AS_A_SCOPE = "run as root, or in `systemd-run --user --scope`"
_CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")  # Docker's, Podman's


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Hold what was checked.

    Args:
        findings: One for each check that applies to the machine.
    """

    findings: tuple[Finding, ...]

    @property
    def has_problems(self) -> bool:
        """Return whether something will not work or will be wrong."""
        return any(finding.state == "problem" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis as plain JSON data."""
        return {"findings": [to_plain(finding) for finding in self.findings]}


def diagnose(
    root: Path = HERE,
    *,
    try_cuda: Callable[[], str | None] = why_no_cuda,
    free_bytes: Callable[[], int] = lambda: shutil.disk_usage(".").free,
) -> Diagnosis:
    """Check a machine.

    Args:
        root: "/" for this machine; any other folder is a copied tree.
        try_cuda: Runs a kernel; returns what went wrong, None if nothing.
        free_bytes: Returns the free bytes of the disk that records go to.
    """
    findings = [
        found for check in (*SPEED_CHECKS, *MEMORY_CHECKS) if (found := check(root)) is not None
    ]
    if root == HERE:
        findings += [*_cuda(root, try_cuda), _disk(free_bytes()), _limit()]
    return Diagnosis(findings=tuple(findings))


def _cuda(root: Path, try_cuda: Callable[[], str | None]) -> Iterator[Finding]:
    if find_accelerator(root) is None:
        return
    reason, l4t = try_cuda(), l4t_version(root)
    python = platform.python_version_tuple()
    remedy = (
        "install a torch build for this GPU: https://pytorch.org/get-started/locally/"
        if l4t is None
        else wheel_advice(l4t, (int(python[0]), int(python[1])))
    )
    yield Finding.of("CUDA kernel", reason or "runs", reason and "problem", remedy)


def _disk(free_bytes: int) -> Finding:
    bad = "problem" if free_bytes < _NEEDED_DISK_BYTES else None
    found = f"{free_bytes / 2**30:.1f} GiB free here"
    return Finding.of("disk", found, bad, "free 2 GiB, or give --out a folder on another disk")


def _limit() -> Finding:
    reason = why_no_limit(_TRIAL_LIMIT_BYTES)
    is_container = any(exists(Path(file)) for file in _CONTAINER_FILES)
    way = "run the container with --privileged" if is_container else _AS_A_SCOPE
    return Finding.of(
        "memory limit for trials",
        reason or "can be enforced",
        reason and "advice",
        f"`zobench fit` predicts and can't try; {way}",
    )
