"""Measure one region of code: memory above a baseline, time and, with a meter for it, energy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from devices import clock, heap, memory
from devices.allocator import Allocator, find_allocator
from devices.heap_trial import why_freed_memory_stays
from devices.measurement_text import html_table, one_line
from devices.memory import HostMemory, read_host_memory
from devices.peaks import PeakMeter, best_peak_meter
from devices.reading import Reading, missing, to_plain
from devices.swap import SwapWatch

_RUNNING = "the region has not ended"
_HIDDEN_BYTES = 1 << 20  # freed heap that may hide more than this makes a peak untrue


class EnergyMeter(Protocol):
    """Measure the energy used between start() and stop()."""

    def start(self) -> None:
        """Start measuring."""

    def stop(self) -> Reading:
        """Return the joules since start(), or None with a reason."""


def _running(unit: str) -> Reading:
    return missing(unit, _RUNNING)


@dataclass(slots=True, kw_only=True)
class Measurement:
    """Hold the figures of a region; until the region ends they are None.

    Not frozen, since the region's end fills it in; treat it as read-only.

    Args:
        baseline_bytes: Resident memory just before the region, after a trim.
        peak_bytes: Largest memory in the region.
        peak_above_baseline_bytes: peak_bytes - baseline_bytes; None where freed memory stays
            resident (more than 1 MiB of it), or where the peak reads below the baseline.
        seconds: Wall time of the region, synchronised with the accelerator.
        joules: Energy of the region.
        major_faults: Page faults in the region that read from a disk.
        untrimmed_bytes: Freed heap at the baseline that could not be trimmed: the peak may
            read low by up to this.
        swap_bytes: Swapped-out memory of this process at the region's end.
        swapped_by: What grew in the region: "VmSwap" (this process), "zram" (the machine). The
            peak then reads low; its method says "swapped", and what bounds the true need.
        before: Memory and its split into anonymous and file pages at the region's start.
        after: The same at its end.
        huge_page_mode: Transparent huge pages: "always", "madvise", "never", None if unknown.
        trimmed_by: What was done before the baseline was read.
        allocator: The library that serves malloc, and the preloaded ones.
    """

    baseline_bytes: Reading
    peak_bytes: Reading
    peak_above_baseline_bytes: Reading
    seconds: Reading
    joules: Reading
    major_faults: Reading
    swap_bytes: Reading
    swapped_by: tuple[str, ...] | None
    untrimmed_bytes: Reading
    before: HostMemory
    after: HostMemory | None
    huge_page_mode: str | None
    trimmed_by: str
    allocator: Allocator

    def to_json(self) -> dict[str, Any]:
        """Return the measurement as plain JSON data."""
        return to_plain(self)

    def __str__(self) -> str:
        return one_line(self)

    def _repr_html_(self) -> str:
        return html_table(self)


@contextmanager
def measure(
    *, peak_meter: PeakMeter | None = None, energy_meter: EnergyMeter | None = None
) -> Iterator[Measurement]:
    """Measure the region's peak memory, seconds and joules.

    Measure memory in a fresh process (`run_isolated`): what the process did before shapes its
    heap. Measure time and memory in separate runs. An exception in the region propagates, and the
    measurement is valid up to it.

    Args:
        peak_meter: How the peak is measured; by default the best that works here.
        energy_meter: How energy is measured; without one, joules is None.

    Yields:
        A Measurement, filled in when the region ends.

    >>> with measure() as region:
    ...     block = bytearray(1 << 20)
    >>> region.seconds.unit
    'second'
    """
    meter = peak_meter or best_peak_meter()
    why_freed_memory_stays()  # tried here, outside of the region
    trimmed_by = heap.trim()
    region = _begin(trimmed_by)
    if energy_meter is not None:
        energy_meter.start()
    region.baseline_bytes = meter.start()
    swap = SwapWatch()
    started_s = clock.now_s()
    try:
        yield region
    finally:
        elapsed_s = clock.now_s() - started_s
        region.peak_bytes = meter.stop()
        swapped_bytes = swap.stop()
        if energy_meter is not None:
            region.joules = energy_meter.stop()
        _end(region, elapsed_s, swapped_bytes)


def _begin(trimmed_by: str) -> Measurement:
    return Measurement(
        baseline_bytes=_running("byte"),
        peak_bytes=_running("byte"),
        peak_above_baseline_bytes=_running("byte"),
        seconds=_running("second"),
        joules=missing("joule", "no energy meter was given"),
        major_faults=_running("count"),
        swap_bytes=_running("byte"),
        swapped_by=None,
        untrimmed_bytes=heap.untrimmed_bytes(),
        before=read_host_memory(),
        after=None,
        huge_page_mode=memory.huge_page_mode(),
        trimmed_by=trimmed_by,
        allocator=find_allocator(),
    )


def _end(region: Measurement, elapsed_s: float, swapped_bytes: int) -> None:
    region.after = after = read_host_memory()
    region.seconds = Reading(value=elapsed_s, unit="second", method="perf_counter, synchronised")
    region.major_faults = _faults(region.before, after)
    region.swap_bytes = _reported(after.swap_bytes, "byte", "VmSwap")
    left = (after.swap_bytes or 0) - (region.before.swap_bytes or 0)
    swapped_bytes = max(swapped_bytes, left)
    region.swapped_by = swapped_by(region.before, after, swapped_bytes)
    region.peak_bytes = _marked(region.peak_bytes, region.swapped_by, swapped_bytes)
    region.peak_above_baseline_bytes = _above(region)


def swapped_by(before: HostMemory, after: HostMemory, swapped_bytes: int) -> tuple[str, ...]:
    """Name the swap that grew in a region: "VmSwap", "zram".

    Args:
        before: Memory at the region's start.
        after: Memory at its end.
        swapped_bytes: The largest growth of VmSwap in between.
    """
    machine = (after.zram_bytes or 0) - (before.zram_bytes or 0)
    return tuple(name for name, size in (("VmSwap", swapped_bytes), ("zram", machine)) if size > 0)


def _marked(peak: Reading, swaps: tuple[str, ...], swapped_bytes: int) -> Reading:
    if peak.value is None or not swaps:
        return peak
    bound = (
        f"the need is at most {swapped_bytes / 2**20:.1f} MiB more"
        if "VmSwap" in swaps
        else "of other processes, as VmSwap did not grow"
    )
    return replace(peak, method=f"{peak.method}, swapped ({' and '.join(swaps)} grew): {bound}")


def _above(region: Measurement) -> Reading:
    peak, baseline = region.peak_bytes, region.baseline_bytes
    method = f"{peak.method}, minus {baseline.method}"
    if peak.value is None or baseline.value is None:
        return peak if peak.value is None else baseline
    reason = why_freed_memory_stays() or _why_hidden(region.untrimmed_bytes)
    if reason is not None:
        return missing("byte", reason, method=method)
    above = peak.value - baseline.value
    if above < 0:
        reason = f"the peak reads {-above} bytes below the baseline, which cannot be"
        return missing("byte", reason, method=method)
    return Reading(value=above, unit="byte", method=method)


def _why_hidden(untrimmed: Reading) -> str | None:
    free = untrimmed.value or 0
    if free <= _HIDDEN_BYTES:
        return None
    return (
        f"{free / 2**20:.1f} MiB of freed heap could not be given back and may hide what the "
        "region takes; start with MALLOC_ARENA_MAX=1 and no GLIBC_TUNABLES, or by run_isolated"
    )


def _faults(before: HostMemory, after: HostMemory) -> Reading:
    if before.major_faults is None or after.major_faults is None:
        return _reported(None, "count", "ru_majflt")
    return _reported(after.major_faults - before.major_faults, "count", "ru_majflt")


def _reported(value: int | None, unit: str, method: str) -> Reading:
    if value is None:
        return missing(unit, f"this operating system does not report {method}")
    return Reading(value=value, unit=unit, method=method)
