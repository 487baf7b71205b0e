"""Count explicit huge pages (hugetlb), which resident memory leaves out.

A process gets such pages by mmap with MAP_HUGETLB, or by glibc.malloc.hugetlb=2. The kernel
keeps no high-water mark of them, so they are sampled, and only on machines that have any to give.
Transparent huge pages are something else: resident memory counts them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from devices.files import find, read_number
from devices.memory import read_host_memory
from devices.periodic import Periodic
from devices.reading import Reading

if TYPE_CHECKING:
    from devices.peaks import PeakMeter

_POOLS = "sys/kernel/mm/hugepages"
_INTERVAL_S = 0.01


class WithHugePages:
    """Add the process's explicit huge pages to the readings of a meter that does not see them.

    The sum of the two peaks is what the process held at most; it is less where they came at
    different times.
    """

    def __init__(self, meter: PeakMeter, interval_s: float = _INTERVAL_S) -> None:
        """Add huge pages, sampled every `interval_s` seconds, to `meter`."""
        self.method = f"{meter.method}, plus huge pages sampled every {interval_s * 1000:g} ms"
        self._meter, self._interval_s = meter, interval_s

    def start(self) -> Reading:
        """Return the meter's baseline plus the huge pages held now."""
        self._largest = 0
        baseline = self._meter.start()
        self._sampler = Periodic(self._look, self._interval_s)
        return self._plus(baseline, f"{baseline.method}, plus huge pages")

    def stop(self) -> Reading:
        """Return the meter's peak plus the most huge pages seen."""
        self._sampler.end()
        return self._plus(self._meter.stop(), self.method)

    def _plus(self, reading: Reading, method: str) -> Reading:
        if reading.value is None:
            return reading
        return Reading(value=reading.value + self._largest, unit="byte", method=method)

    def _look(self) -> None:
        self._largest = max(self._largest, read_host_memory().hugetlb_bytes or 0)


def has_huge_pages(root: Path = Path("/")) -> bool:
    """Return whether this machine has explicit huge pages to give.

    Args:
        root: The folder that stands for the root of the file system.
    """
    pools = find(root / _POOLS, "*/nr*_hugepages")  # reserved ones, and those made on demand
    return any((read_number(pool) or 0) > 0 for pool in pools)
