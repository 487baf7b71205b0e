"""Meters of peak host memory, best first; which one serves is found by trying, not by name.

| meter | exact for | trust |
|---|---|---|
| VmHwm | this process, the stated region | exact: the kernel keeps the mark |
| CgroupPeak | the group, page cache that it read first included | exact for the group |
| LifetimeMax | this process, only where the region raised the lifetime maximum | exact or none |
| SampledRss | this process | sampled: spikes shorter than the interval are missed |

Where the machine has explicit huge pages, which none of these sees, they are added.
"""

from __future__ import annotations

import functools
import mmap
import os
import sys
from pathlib import Path
from typing import Protocol

from devices import cgroup
from devices.files import parse_number
from devices.huge_pages import WithHugePages, has_huge_pages
from devices.memory import read_host_memory
from devices.periodic import Periodic
from devices.reading import Reading, missing

_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): reset the resident set high-water mark
_PROBE_BYTES = 8 << 20


class PeakMeter(Protocol):
    """Measure the peak of memory between start() and stop()."""

    method: str

    def start(self) -> Reading:
        """Reset the mark, then return the baseline in bytes, by a method that suits the peak's."""

    def stop(self) -> Reading:
        """Return the peak since start() in bytes."""


class VmHwm:
    """Read the kernel's high-water mark of resident memory, reset at the start (Linux)."""

    method = "VmHWM reset by clear_refs"

    def start(self) -> Reading:
        """Reset the mark to VmRSS, then return VmRSS, which the mark can't be below."""
        _CLEAR_REFS.write_text(_RESET_PEAK)
        return Reading(value=read_host_memory().rss_bytes, unit="byte", method="VmRSS")

    def stop(self) -> Reading:
        """Return VmHWM."""
        peak = read_host_memory().peak_rss_bytes
        if peak is None:
            return missing("byte", "/proc/self/status has no VmHWM", method=self.method)
        return Reading(value=peak, unit="byte", method=self.method)


class CgroupPeak:
    """Read the peak of the control group that holds only this process."""

    def __init__(self, group: cgroup.Group) -> None:
        """Read the peak of `group`."""
        self.method = f"{group.version} peak, reset"
        self._group = group

    def start(self) -> Reading:
        """Reset the group's peak, then return its present use."""
        self._mark = self._group.reset_peak()
        baseline, method = self._group.current_bytes(), f"{self._group.version} usage"
        if baseline is None:
            return missing("byte", "the group's usage cannot be read", method=method)
        return Reading(value=baseline, unit="byte", method=method)

    def stop(self) -> Reading:
        """Return the group's peak."""
        with self._mark as mark:
            mark.seek(0)
            peak = parse_number(mark.read().strip())
        if peak is None:
            return missing("byte", "the group's peak is not a number", method=self.method)
        return Reading(value=peak, unit="byte", method=self.method)


class LifetimeMax:
    """Read ru_maxrss, which never resets: a figure only where the region raised it.

    On Linux a process starts with the maximum of the one that started it, so that the child of
    a large process has no figure for a small region.
    """

    method = "ru_maxrss raised in the region"

    def start(self) -> Reading:
        """Return resident memory; remember the lifetime maximum."""
        self._before = lifetime_max_bytes()
        return Reading(value=read_host_memory().rss_bytes, unit="byte", method="resident memory")

    def stop(self) -> Reading:
        """Return the lifetime maximum if the region raised it, else None with the reason."""
        after = lifetime_max_bytes()
        if after > self._before:
            return Reading(value=after, unit="byte", method=self.method)
        reason = f"the region stayed below the earlier or inherited maximum of {after} bytes"
        return missing("byte", reason, method="ru_maxrss")


class SampledRss:
    """Sample resident memory from a thread: the last resort, it misses short spikes."""

    def __init__(self, interval_s: float = 0.01) -> None:
        """Sample every `interval_s` seconds.

        Raises:
            ValueError: interval_s is not > 0.
        """
        if interval_s <= 0:
            raise ValueError(f"interval_s must be > 0, got {interval_s}")
        self.method = f"resident memory sampled every {interval_s * 1000:g} ms"
        self._interval_s = interval_s
        import psutil

        self._process = psutil.Process()

    def start(self) -> Reading:
        """Return resident memory, then start the thread."""
        self._peak = baseline = self._process.memory_info().rss
        self._sampler = Periodic(self._look, self._interval_s)
        return Reading(value=baseline, unit="byte", method="resident memory")

    def stop(self) -> Reading:
        """Stop the thread; return the largest sample."""
        self._sampler.end()
        return Reading(value=self._peak, unit="byte", method=self.method)

    def _look(self) -> None:
        self._peak = max(self._peak, self._process.memory_info().rss)


class LifetimeElseSampled:
    """Read ru_maxrss where the region raised it, else the largest sample."""

    def __init__(self, interval_s: float = 0.01) -> None:
        """Sample every `interval_s` seconds, should the lifetime maximum not rise."""
        self._lifetime = LifetimeMax()
        self._sampled = SampledRss(interval_s)
        self.method = f"{self._lifetime.method}, else {self._sampled.method}"

    def start(self) -> Reading:
        """Start both; return resident memory."""
        self._lifetime.start()
        return self._sampled.start()

    def stop(self) -> Reading:
        """Return the lifetime maximum if it rose, else the largest sample."""
        sampled, lifetime = self._sampled.stop(), self._lifetime.stop()
        return sampled if lifetime.value is None else lifetime


def best_peak_meter() -> PeakMeter:
    """Return the best peak meter that works in this process.

    Returns:
        A meter ready for start(); its `method` names it.
    """
    meter = _best_resident_meter()
    return WithHugePages(meter) if has_huge_pages() else meter


def _best_resident_meter() -> PeakMeter:
    if high_water_mark_resets():
        return VmHwm()
    group = cgroup.own_exclusive_group()
    if group is not None:
        return CgroupPeak(group)
    return SampledRss() if sys.platform == "win32" else LifetimeElseSampled()


@functools.cache
def high_water_mark_resets() -> bool:
    """Return whether VmHWM both follows a spike and can be reset here, by making one of 8 MiB.

    Sandboxes and old kernels have the file without the effect, so its presence says nothing.
    """
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
        before = read_host_memory().rss_bytes
        _touch_and_free(_PROBE_BYTES)
        seen = (read_host_memory().peak_rss_bytes or 0) - before
        _CLEAR_REFS.write_text(_RESET_PEAK)
        left = (read_host_memory().peak_rss_bytes or 0) - before
    except OSError:
        return False
    return seen > _PROBE_BYTES // 2 > left


def lifetime_max_bytes() -> int:
    """Return the process's largest resident memory ever (POSIX), in bytes."""
    import resource  # POSIX only

    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return maximum_rss_to_bytes(maximum, sys.platform)


def maximum_rss_to_bytes(maximum: int, platform: str) -> int:
    """Return ru_maxrss in bytes: macOS counts bytes, Linux and the BSDs KiB.

    >>> maximum_rss_to_bytes(2048, "darwin"), maximum_rss_to_bytes(2, "linux")
    (2048, 2048)
    """
    return maximum if platform == "darwin" else maximum * 1024


def _touch_and_free(size_bytes: int) -> None:
    with mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        for offset in range(0, size_bytes, os.sysconf("SC_PAGE_SIZE")):
            block[offset] = 1
