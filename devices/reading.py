"""One measured figure: its value, unit and method, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Hold one figure and how it was measured.

    A figure that could not be measured is None with a reason, never 0 or -1.

    Args:
        value: The figure, in `unit`; None if it could not be measured.
        unit: "byte", "second", "joule", "count" and the like.
        method: How it was measured, e.g. "VmHWM reset by clear_refs"; "none" if it was not.
        reason: Why `value` is None; None where there is a value.

    Raises:
        ValueError: A missing value has no reason, or a value has one.

    >>> Reading(value=12, unit="byte", method="VmRSS").value
    12
    """

    value: int | float | None
    unit: str
    method: str
    reason: str | None = None

    def __post_init__(self) -> None:
        """Check that a value and a reason exclude each other."""
        if (self.value is None) != bool(self.reason):
            raise ValueError(
                f"reason must be given exactly where value is None, got value={self.value!r}, "
                f"reason={self.reason!r}; use missing(unit, reason) for an unmeasured figure"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the reading as plain JSON data."""
        return to_plain(self)


def missing(unit: str, reason: str, *, method: str = "none") -> Reading:
    """Return the reading of a figure that could not be measured.

    Args:
        unit: The figure's unit.
        reason: Why there is none, for a report.
        method: The method that was tried.

    Returns:
        A reading whose value is None.

    >>> missing("joule", "no sensor").value is None
    True
    """
    return Reading(value=None, unit=unit, method=method, reason=reason)


def to_plain(record: Any) -> dict[str, Any]:
    """Return a dataclass instance as a dict of plain JSON data, nested ones included."""
    return {field.name: _plain(getattr(record, field.name)) for field in fields(record)}


def _plain(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
