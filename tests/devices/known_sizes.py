"""Check this machine's memory meters against allocations of known size.

`python tests/devices/known_sizes.py --runs 100` measures every allocator in every pattern at every
size, each run in a fresh process, and prints the error of the best meter and, beside it, of the
sampled one, which takes fewer runs. The exit code is 1 where the best meter is off by more than
2 MiB anywhere.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from devices.isolate import run_isolated
from devices.meter import Measurement, measure
from devices.peaks import (
    LifetimeElseSampled,
    LifetimeMax,
    PeakMeter,
    SampledRss,
    best_peak_meter,
)

MIB = 1 << 20
SIZES_BYTES = (0, MIB, 10 * MIB, 100 * MIB, 300 * MIB)
ALLOWED_ERROR_BYTES = 2 * MIB
_CHUNK = b"\1" * 65536  # divides every size
_TIMEOUT_S = 600.0
_SAMPLED_RUNS = 10  # enough to show by how much the sampled meter misses


class _Malloc:
    """A touched block of the C heap, freed with this object."""

    def __init__(self, size_bytes: int) -> None:
        """Take and touch `size_bytes`."""
        self._libc = ctypes.CDLL(None)
        self._libc.malloc.restype = ctypes.c_void_p
        self._libc.malloc.argtypes = [ctypes.c_size_t]
        self._libc.free.argtypes = [ctypes.c_void_p]
        self._block = self._libc.malloc(size_bytes)
        if not self._block and size_bytes:
            raise MemoryError(f"malloc({size_bytes}) failed")
        ctypes.memset(self._block, 1, size_bytes)

    def __del__(self) -> None:
        """Free the block."""
        self._libc.free(self._block)


def _mmap(size_bytes: int) -> mmap.mmap:
    # An empty mapping is an error, an untouched page takes nothing.
    block = mmap.mmap(-1, max(size_bytes, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for _ in range(0, size_bytes, len(_CHUNK)):
        block.write(_CHUNK)
    return block


def _numpy(size_bytes: int) -> Any:
    import numpy as np

    return np.ones(size_bytes, dtype=np.uint8)


def _torch(size_bytes: int) -> Any:
    import torch

    return torch.ones(size_bytes, dtype=torch.uint8)


def _held(allocate: Callable[[int], Any], size_bytes: int) -> Any:
    return allocate(size_bytes)


def _freed(allocate: Callable[[int], Any], size_bytes: int) -> None:
    """Free at once: the block is whole for well under 5 ms."""
    allocate(size_bytes)


def _in_thread(allocate: Callable[[int], Any], size_bytes: int) -> None:
    thread = threading.Thread(target=_freed, args=(allocate, size_bytes))
    thread.start()
    thread.join()


ALLOCATORS: dict[str, Callable[[int], Any]] = {
    "malloc": _Malloc,
    "mmap": _mmap,
    "numpy": _numpy,
    "torch": _torch,
}
PATTERNS: dict[str, Callable[[Callable[[int], Any], int], Any]] = {
    "held to the end": _held,
    "freed at once": _freed,
    "freed at once in a thread": _in_thread,
}
METERS: dict[str, Callable[[], PeakMeter]] = {
    "best": best_peak_meter,
    "lifetime": LifetimeMax,
    "lifetime else sampled": LifetimeElseSampled,
    "sampled": SampledRss,
}


def measure_allocation(allocator: str, pattern: str, size_bytes: int, meter: str) -> Measurement:
    """Measure a region that allocates, touches and frees `size_bytes`.

    Args:
        allocator: A name of ALLOCATORS.
        pattern: A name of PATTERNS.
        size_bytes: The true peak of the region.
        meter: A name of METERS.
    """
    allocate, use = ALLOCATORS[allocator], PATTERNS[pattern]
    use(allocate, MIB)  # burn-in: libraries are loaded and threads started outside the region
    with measure(peak_meter=METERS[meter]()) as region:
        kept = use(allocate, size_bytes)
    del kept
    return region


def measure_sizes(
    allocator: str, pattern: str, sizes_bytes: Sequence[int], meter: str
) -> list[Any]:
    """Return the peak above the baseline for each size, all in this one process."""
    regions = (measure_allocation(allocator, pattern, size, meter) for size in sizes_bytes)
    return [region.peak_above_baseline_bytes.value for region in regions]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Hold a meter's errors, in bytes, over the runs of one allocator, pattern and size."""

    allocator: str
    pattern: str
    size_bytes: int
    meter: str
    errors_bytes: Sequence[int]

    def worst_bytes(self) -> int:
        """Return the error of largest size, with its sign."""
        return max(self.errors_bytes, key=abs)


def campaign(runs: int, meter: str = "best") -> Iterator[list[Errors]]:
    """Measure every allocator, pattern and size `runs` times, each run in a fresh process.

    Args:
        runs: How many fresh processes for each allocator and pattern, >= 1.
        meter: A name of METERS.

    Yields:
        The errors of one allocator and pattern, a row for each size.

    Raises:
        RuntimeError: A measured process failed.
    """
    for allocator in ALLOCATORS:
        for pattern in PATTERNS:
            peaks = [_one_run(allocator, pattern, meter) for _ in range(runs)]
            yield [
                Errors(
                    allocator=allocator,
                    pattern=pattern,
                    size_bytes=size,
                    meter=meter,
                    errors_bytes=[run[index] - size for run in peaks],
                )
                for index, size in enumerate(SIZES_BYTES)
            ]


def _one_run(allocator: str, pattern: str, meter: str) -> list[int]:
    result = run_isolated(
        measure_sizes, allocator, pattern, SIZES_BYTES, meter, timeout_s=_TIMEOUT_S
    )
    if result.status != "ok":
        raise RuntimeError(f"{allocator}, {pattern}: {result.status}: {result.error}")
    return list(result.value)


def main() -> int:
    """Run the campaign for the best and the sampled meter and print their errors in MiB."""
    parser = argparse.ArgumentParser(
        prog="python tests/devices/known_sizes.py", description=__doc__
    )
    parser.add_argument("--runs", type=int, default=5, help="fresh processes for each case")
    runs = parser.parse_args().runs
    sampled_runs = min(runs, _SAMPLED_RUNS)
    print(f"error in MiB, median and worst, over {runs} runs of {best_peak_meter().method}")
    print(f"and, beside it, over {sampled_runs} runs of {SampledRss().method}")
    exact = True
    for best, sampled in zip(campaign(runs), campaign(sampled_runs, "sampled"), strict=True):
        for row, other in zip(best, sampled, strict=True):
            name = f"{row.allocator}, {row.pattern}, {row.size_bytes // MIB} MiB"
            print(f"{name:<45} {_summary(row)}   {_summary(other)}", flush=True)
            exact = exact and abs(row.worst_bytes()) <= ALLOWED_ERROR_BYTES
    return 0 if exact else 1


def _summary(row: Errors) -> str:
    return f"{statistics.median(row.errors_bytes) / MIB:+8.3f} {row.worst_bytes() / MIB:+8.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
