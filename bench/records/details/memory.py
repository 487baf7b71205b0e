"""Details of the group memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDetails:
    """Every process's reading, and the kinds of tensors at the peak."""

    measurements: tuple[Mapping[str, Any], ...]  # devices.Measurement of each process
    tensor_by_category: Mapping[str, int]  # bytes at the peak; none where tensors were not tracked
