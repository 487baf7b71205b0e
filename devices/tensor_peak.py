"""The peak of live tensor storage in a region, as data; measured by `devices.tensor_memory`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devices.reading import to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorPeak:
    """Hold the peak of live tensor storage in a region.

    Args:
        baseline_bytes: Storage given as existing at the region's start.
        peak_bytes: Largest sum of live storage in the region, the baseline included.
        with_buffers_bytes: Largest sum of live storage and the buffers that CPU kernels take while
            they run; what a process should need above its libraries.
        by_category: What the peak consisted of, by name of CATEGORIES; sums to peak_bytes.
        ignored_bytes: Storage that was used in the region, existed before it and was not
            given, so that it is in none of the other figures.
        timeline_bytes: Largest live storage in equal parts of the region's operators, in order.
        timeline_phases: Of each part, "forward", "backward" or "update".
    """

    baseline_bytes: int
    peak_bytes: int
    with_buffers_bytes: int
    by_category: Mapping[str, int]
    ignored_bytes: int
    timeline_bytes: tuple[int, ...] = ()
    timeline_phases: tuple[str, ...] = ()

    @property
    def peak_above_baseline_bytes(self) -> int:
        """Return peak_bytes - baseline_bytes."""
        return self.peak_bytes - self.baseline_bytes

    def to_json(self) -> dict[str, Any]:
        """Return the peak as plain JSON data."""
        return to_plain(self)
