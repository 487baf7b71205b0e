"""Types of the C extension; :mod:`zo_core.kernels.cpu` is its only caller."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

class Table:
    """A capsule: tensors described once, their memory held in place."""

def use_team(address: int, /) -> None:
    """Let the OpenMP runtime whose GOMP_parallel is at an address do the work; 0 for none."""

def arithmetics() -> list[str]:
    """Name the arithmetics that this processor can run, the fastest first."""

def use_arithmetic(index: int, /) -> None:
    """Take the arithmetic of an index from now on; all give the same bits."""

def prepare(spans: list[tuple[npt.NDArray[np.float32], int, int]], /) -> Table:
    """Describe (array, tensor_index, start) spans."""

def perturb(table: Table, terms: Sequence[tuple[int, float]], threads: int, /) -> None:
    """Add scale * z(seed) for each (seed, scale)."""

def replay(
    table: Table,
    back: Sequence[tuple[int, float]],
    seeds: npt.NDArray[np.uint64],
    a: npt.NDArray[np.int32],
    f: int,
    factor: float,
    exponents: npt.NDArray[np.int32] | None,
    write: bool,
    threads: int,
    /,
) -> list[tuple[int, int]]:
    """Add terms, then apply a list of updates; (largest |k'|, zero increments) of each span."""
