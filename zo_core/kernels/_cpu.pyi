"""Types of the C extension; :mod:`zo_core.kernels.cpu` is its only caller."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

class Table:
    """A capsule: tensors described once, their memory held in place."""

def use_team(address: int, /) -> None:
    """Let the OpenMP runtime whose GOMP_parallel is at an address do the work; 0 for none."""

def summations() -> list[str]:
    """Name the replay's summations that this processor can run, the fastest first."""

def use_summation(index: int, /) -> None:
    """Take the summation of an index from now on; all give the same bits."""

def prepare(spans: list[tuple[npt.NDArray[np.float32], int, int]], /) -> Table:
    """Describe (array, tensor_index, start) spans."""

def perturb(table: Table, terms: Sequence[tuple[int, float]], threads: int, /) -> None:
    """Add scale * z(seed) for each (seed, scale)."""

def replay(
    table: Table,
    seeds: npt.NDArray[np.uint64],
    a: npt.NDArray[np.int32],
    f: int,
    factor: float,
    exponents: npt.NDArray[np.int32] | None,
    write: bool,
    threads: int,
    /,
) -> list[tuple[int, int]]:
    """Apply a list of updates; (largest |k'|, zero increments) of each span."""
