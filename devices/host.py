"""What only a running system reports: cores, software, threads; None for a copied tree."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from devices.commands import HERE, command_output
from devices.files import read_text

# The libraries whose versions change results or figures.
_LIBRARIES = (
    "numpy",
    "torch",
    "torchvision",
    "onnxruntime",
    "psutil",
    "scikit-learn",
    "nvidia-ml-py",
    "pytest-benchmark",
    "zeus",
    "zeus-ml",
    "flwr",
)


_FEATURES = ("flags", "Features")  # x86, ARM
_VECTORS = {
    "AVX-512 (x86-64-v4)": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "AVX2": {"avx2"},
    "NEON": {"asimd"},
}
_PROCESSOR = re.compile(r"^processor\s*: (\d{1,5})$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Hold what a running system reports; the fields are DeviceSpec's."""

    arch: str | None
    kernel: str | None
    logical_cores: int | None
    physical_cores: int | None = None
    memory_bytes: int | None = None
    libc: str | None = None
    python: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    threads: int | None = None


def read_host(root: Path = HERE) -> Host:
    """Return what this system reports, or what a copied tree has of it.

    Args:
        root: "/" for this system; any other folder is a copied tree.
    """
    if root != HERE:
        words = (command_output(root, "uname -a") or "").split()
        is_whole = len(words) > 4
        return Host(
            arch=words[-2 if words[-1] == "GNU/Linux" else -1] if is_whole else None,
            kernel=words[2] if is_whole else None,
            logical_cores=_cores(read_text(root / "proc/cpuinfo") or ""),
        )
    return Host(
        arch=platform.machine(),
        kernel=platform.release(),
        logical_cores=os.cpu_count(),
        physical_cores=_asked(lambda: psutil.cpu_count(logical=False)),
        memory_bytes=_asked(lambda: psutil.virtual_memory().total),
        libc=" ".join(platform.libc_ver()).strip() or None,
        python=platform.python_version(),
        versions=environment(),
        threads=_threads(),
    )


def instruction_set(root: Path = HERE) -> str:
    """Name the widest vector instructions that a C library picks a kernel's copy by.

    Args:
        root: The folder that stands for the root of the file system.
    """
    rows = (row.partition(":") for row in (read_text(root / "proc/cpuinfo") or "").splitlines())
    words = {word for key, _, value in rows if key.strip() in _FEATURES for word in value.split()}
    return next((name for name, needed in _VECTORS.items() if needed <= words), "baseline")


def environment() -> dict[str, str]:
    """Return the versions of the installed libraries that matter, importing none of them."""
    from importlib import metadata  # brings in the email package

    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cores(cpuinfo: str) -> int | None:
    """Count cores by the highest number, since people paste only the last entry."""
    numbers = [int(number) for number in _PROCESSOR.findall(cpuinfo)]
    return max(numbers) + 1 if numbers else None


def _asked(ask: Callable[[], int | None]) -> int | None:
    """Ask psutil, which raises errors of many kinds on a system that it does not know."""
    try:
        return ask()
    except Exception:
        return None


def _threads() -> int | None:
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit():
        return int(asked)
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count()
