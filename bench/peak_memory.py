"""The fixture ``peak_memory``: memory peaks of a test, at four levels, as one kind of result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import devices
from devices.child import resolve
from devices.meter import Measurement

if TYPE_CHECKING:
    import torch

_RUNNING = "the region has not ended"


@dataclass(slots=True, kw_only=True)
class Peak:
    """One peak; filled in when its region ends.

    Args:
        name: Of the metric in the record.
        level: "process", "tensors" or "device".
        above_bytes: Peak above the baseline; None where it could not be measured.
        baseline_bytes: Memory just before the region.
        method: How it was measured.
        reason: Why above_bytes is None.
    """

    name: str
    level: str
    above_bytes: int | None = None
    baseline_bytes: int | None = None
    method: str = "none"
    reason: str | None = _RUNNING

    def to_json(self) -> dict[str, Any]:
        """Return the peak as plain JSON data."""
        return {field: getattr(self, field) for field in self.__slots__}


class PeakMemory:
    """Measures peaks of one test and keeps them.

    >>> peak_memory = PeakMemory()
    >>> with peak_memory() as peak:
    ...     block = bytearray(30 << 20)
    >>> peak.level
    'process'
    """

    def __init__(self) -> None:
        self.peaks: list[Peak] = []

    @contextmanager
    def __call__(self, name: str = "") -> Iterator[Peak]:
        """Measure the host memory of a region in this process.

        Args:
            name: Of the metric in the record; needed for a second peak of this level.
        """
        peak = self._add("process", name)
        with devices.measure() as region:
            yield peak
        _fill(peak, region.to_json())

    def fresh(self, function: str | Callable[..., Any], *args: Any, name: str = "") -> Peak:
        """Measure the host memory of a call in a fresh process, where no earlier test left a heap.

        Args:
            function: "module:name", or a function at the top of a module. Its module is imported
                before the region.
            args: JSON data.
            name: As above.

        Raises:
            RuntimeError: The call failed; the message contains its error.
        """
        peak = self._add("process", name)
        target = function if isinstance(function, str) else _name_of(function)
        result = devices.run_isolated("bench.peak_memory:measured_call", target, list(args))
        if result.status != "ok":
            raise RuntimeError(f"{target} in a fresh process: {result.status}: {result.error}")
        _fill(peak, result.value)
        return peak

    @contextmanager
    def tensors(
        self,
        *,
        parameters: Iterable[torch.Tensor] = (),
        existing: Iterable[torch.Tensor] = (),
        name: str = "",
    ) -> Iterator[Peak]:
        """Measure the live torch tensors of a region, on any device; exact, without an allocator.

        Args:
            parameters: Of the model; with existing, the baseline.
            existing: Other tensors that exist before the region.
            name: As above.
        """
        from devices.tensor_memory import track_tensors

        peak = self._add("tensors", name)
        with track_tensors(parameters=parameters, existing=existing) as tracker:
            yield peak
        found = tracker.result()
        peak.above_bytes, peak.baseline_bytes = (
            found.peak_above_baseline_bytes,
            found.baseline_bytes,
        )
        peak.method, peak.reason = "live tensors at torch's dispatcher", None

    @contextmanager
    def device(self, index: int = 0, *, name: str = "") -> Iterator[Peak]:
        """Measure the memory that torch allocates on a CUDA device in a region.

        Args:
            index: The device, as torch numbers it.
            name: As above.

        Raises:
            RuntimeError: There is no CUDA device.
        """
        peak = self._add("device", name)
        with devices.measure_device(index) as region:
            yield peak
        above, baseline = region.allocated_above_baseline_bytes, region.baseline_bytes
        peak.above_bytes, peak.method, peak.reason = _int(above.value), above.method, above.reason
        peak.baseline_bytes = _int(baseline.value)

    def _add(self, level: str, name: str) -> Peak:
        peak = Peak(name=f"{_PREFIX[level]}{f'_{name}' if name else ''}", level=level)
        if peak.name in {other.name for other in self.peaks}:
            raise ValueError(f"this test has a peak {peak.name!r} already; pass name=...")
        self.peaks.append(peak)
        return peak


_PREFIX = {  # names by which zobench compare finds the threshold
    "process": "process_peak",
    "tensors": "tensor_peak",
    "device": "device_allocated_peak",
}


def measured_call(target: str, args: list[Any]) -> Measurement:
    """Measure a call in this process; the fresh process runs this."""
    function = resolve(target)
    with devices.measure() as region:
        function(*args)
    return region


def _fill(peak: Peak, region: Mapping[str, Any]) -> None:
    above = region["peak_above_baseline_bytes"]
    peak.above_bytes, peak.method, peak.reason = above["value"], above["method"], above["reason"]
    peak.baseline_bytes = region["baseline_bytes"]["value"]


def _int(value: float | None) -> int | None:
    return None if value is None else int(value)


def _name_of(function: Callable[..., Any]) -> str:
    return f"{function.__module__}:{function.__qualname__}"
