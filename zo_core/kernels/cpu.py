"""The kernels in C for float32 weights in host memory: at the memory's speed, on several threads.

The extension is optional.  Importing this module raises ImportError where it was not built; the
dispatch then falls back to NumPy and says so once.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels import _cpu
from zo_core.kernels.numpy_ref import Direction, plain_factor
from zo_core.kernels.resumable_pass import Journal, ReplayStats
from zo_core.parameters import Span


def prepare(spans: Sequence[Span]) -> _cpu.Table:
    """Describe the spans to the extension, once for all passes over them.

    Args:
        spans: stretches of native float32 NumPy arrays, of any strides.

    Raises:
        TypeError: a span is of another dtype.
    """
    if "torch" in sys.modules:
        _share_torchs_threads()
    return _cpu.prepare([(span.array, span.tensor_index, span.start) for span in spans])


def perturb(
    table: _cpu.Table,
    terms: Sequence[tuple[int, float]],
    direction: Direction,
    threads: int,
    *,
    journal: Journal,
) -> None:
    """Add scale * z(seed) for each (seed, scale) of terms; Rademacher, whatever the direction."""
    journal.once(_cpu.perturb, table, terms, threads)


def replay(
    table: _cpu.Table,
    update: FixedPointUpdate,
    exponents: Sequence[int] | None,
    write: bool,
    threads: int,
    *,
    back: Sequence[tuple[int, float]] = (),
    journal: Journal,
) -> list[ReplayStats]:
    """Apply a list of updates in one pass; see :func:`zo_core.kernels.numpy_ref.replay`."""
    found = journal.once(
        _cpu.replay,
        table,
        back,
        np.ascontiguousarray(update.seeds, dtype=np.uint64),
        np.ascontiguousarray(update.a, dtype=np.int32),
        update.f,
        plain_factor(update.f) if exponents is None else 1.0,
        None if exponents is None else np.ascontiguousarray(exponents, dtype=np.int32),
        write,
        threads,
    )
    return [ReplayStats(*row) for row in found]


@cache
def _share_torchs_threads() -> None:
    """Hand the passes to torch's OpenMP workers; threads of our own would fight them for cores."""
    maps = Path("/proc/self/maps")
    if not maps.exists():  # not Linux
        return
    loaded = {line.split()[-1] for line in maps.read_text().splitlines() if "libgomp" in line}
    paths = [path for path in loaded if "torch" in path] or list(loaded)
    if len(paths) == 1:  # scikit-learn brings one of its own; torch's is the one that spins
        function = ctypes.CDLL(paths[0]).GOMP_parallel
        _cpu.use_team(ctypes.cast(function, ctypes.c_void_p).value or 0)
