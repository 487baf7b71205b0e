"""How much of this process left for swap in a region: by that much its peak may read low.

Swapped pages are in no resident memory. The largest sum of resident and swapped memory lies between
the peak that was read and that peak plus the largest growth of VmSwap. Raspberry Pi OS swaps to
compressed memory (zram), where a page leaves the high-water mark and stays in memory.
"""

from __future__ import annotations

from pathlib import Path

from devices.files import parse_sizes, read_text
from devices.memory import read_host_memory
from devices.periodic import Periodic

_INTERVAL_S = 0.05


def has_swap(root: Path = Path("/")) -> bool:
    """Return whether this machine has any swap.

    Args:
        root: The folder that stands for the root of the file system.
    """
    return parse_sizes(read_text(root / "proc/meminfo") or "").get("SwapTotal", 0) > 0


class SwapWatch:
    """Watch this process's swap over a region, where the machine has any."""

    def __init__(self, root: Path = Path("/"), interval_s: float = _INTERVAL_S) -> None:
        """Look every `interval_s` seconds from now on; `root` stands for the file system's."""
        self._root = root
        self._first = self._largest = self._swapped()
        self._watch = Periodic(self._look, interval_s) if has_swap(root) else None

    def stop(self) -> int:
        """Return the largest growth of VmSwap since the start, in bytes."""
        if self._watch is not None:
            self._watch.end()
        return self._largest - self._first

    def _look(self) -> None:
        self._largest = max(self._largest, self._swapped())

    def _swapped(self) -> int:
        return read_host_memory(self._root).swap_bytes or 0
