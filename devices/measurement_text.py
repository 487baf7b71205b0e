"""A measurement as a person reads it: one line, or a small table in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devices.reading import Reading

if TYPE_CHECKING:
    from devices.meter import Measurement

_UNITS = {"byte": (2**20, "MiB"), "second": (1, "s"), "joule": (1, "J")}


def reading_text(reading: Reading) -> str:
    """Write a reading with its unit, or why there is none.

    >>> reading_text(Reading(value=3 << 20, unit="byte", method="VmRSS"))
    '3.00 MiB'
    """
    if reading.value is None:
        return f"not measured: {reading.reason}"
    size, unit = _UNITS.get(reading.unit, (1, reading.unit))
    return f"{reading.value / size:,.2f} {unit}"


def one_line(region: Measurement) -> str:
    """Write peak, baseline, time and method in one line."""
    peak = region.peak_above_baseline_bytes
    parts = [f"peak {reading_text(peak)}"]
    if peak.value is not None:
        parts[0] += f" above a baseline of {reading_text(region.baseline_bytes)}"
    if region.seconds.value is not None:
        parts.append(reading_text(region.seconds))
    if region.joules.value is not None:
        parts.append(reading_text(region.joules))
    return ", ".join(parts) + (f" ({peak.method})" if peak.value is not None else "")


def html_table(region: Measurement) -> str:
    """Write the figures with their methods as an HTML table."""
    from html import escape

    rows = {
        "peak above baseline": region.peak_above_baseline_bytes,
        "baseline": region.baseline_bytes,
        "peak": region.peak_bytes,
        "time": region.seconds,
        "energy": region.joules,
    }
    cells = "".join(
        f"<tr><th>{name}</th><td>{escape(reading_text(reading))}</td>"
        f"<td>{escape(reading.method)}</td></tr>"
        for name, reading in rows.items()
    )
    return f"<table><tr><th></th><th>value</th><th>method</th></tr>{cells}</table>"
