"""Numbers as text: raw bytes, seconds and shares get their units and rounding here."""

from __future__ import annotations

import math

MIB = 1 << 20
MISSING = "–"
ALIKE = "1.0x (±5 %)"  # the ratio of two amounts that differ by less than the meters' noise
_NOISE = 0.05


def format_number(value: float, digits: int = 3) -> str:
    """Write a number to at least so many significant digits; only a tiny one by a power of ten.

    >>> format_number(0.031249), format_number(11173962), format_number(2.1e-7)
    ('0.0312', '11,173,962', '2.1 × 10⁻⁷')
    """
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return _power_of_ten(value)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}".replace("-", "−")


def format_mib(size_bytes: float) -> str:
    """Write bytes as a number of MiB, without the unit; a small amount with its own unit.

    >>> format_mib(44_695_848), format_mib(0), format_mib(2078)
    ('42.6', '0', '2.03 KiB')
    """
    return (
        format_bytes(size_bytes)
        if 0 < abs(size_bytes) < 0.1 * MIB
        else format_number(size_bytes / MIB)
    )


def format_milliseconds(elapsed_s: float) -> str:
    """Write seconds as a number of milliseconds, without the unit."""
    return format_number(elapsed_s * 1e3)


def format_bytes(size_bytes: float) -> str:
    """Write bytes with the unit that suits them, in steps of 1024.

    >>> format_bytes(12), format_bytes(44_695_848), format_bytes(1 << 33)
    ('12 B', '42.6 MiB', '8 GiB')
    """
    if abs(size_bytes) < 1 << 10:
        return f"{size_bytes:,.0f} B"
    name, unit = unit_of(size_bytes)
    number = size_bytes / unit
    return f"{number:,.0f} {name}" if number.is_integer() else f"{format_number(number)} {name}"


def unit_of(size_bytes: float) -> tuple[str, int]:
    """Choose the largest unit, from KiB to GiB, that an amount reaches; KiB for anything less.

    >>> unit_of(3 << 20), unit_of(100)
    (('MiB', 1048576), ('KiB', 1024))
    """
    units = (("GiB", 1 << 30), ("MiB", MIB), ("KiB", 1 << 10))
    return next((unit for unit in units if abs(size_bytes) >= unit[1]), units[-1])


def format_instant(created: str) -> str:
    """Write a record's time of creation, ISO 8601 in UTC, to the minute."""
    return f"{created[:16].replace('T', ' ')} UTC"


def format_seconds(elapsed_s: float) -> str:
    """Write seconds as ms below one second and as s from there on."""
    return (
        f"{format_milliseconds(elapsed_s)} ms" if elapsed_s < 1 else f"{format_number(elapsed_s)} s"
    )


def format_hours(hours: float) -> str:
    """Write hours as s, min or h, which suits a training.

    >>> format_hours(0.00073), format_hours(0.03), format_hours(1.5), format_hours(1234)
    ('2.6 s', '108 s', '90 min', '1,234 h')
    """
    seconds = 3600 * hours
    if seconds < 120:
        return f"{format_number(seconds, 2)} s"
    return f"{seconds / 60:.0f} min" if hours < 2 else f"{format_number(hours)} h"


def format_percent(share: float) -> str:
    """Write a share as per cent with one decimal; a small one is not 0.

    >>> format_percent(0.8712), format_percent(0.0), format_percent(0.0002)
    ('87.1 %', '0.0 %', '< 0.1 %')
    """
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


def format_points(share: float) -> str:
    """Write a difference of shares in percentage points, with its sign: 0.069 is "+6.9"."""
    return f"{100 * share:+.1f}".replace("-", "−")


def format_ratio(ratio: float) -> str:
    """Write a ratio; a large one to two digits, since no more of it is of use.

    >>> format_ratio(7.4649), format_ratio(44.83), format_ratio(948_213.0)
    ('7.46', '44.8', '950,000')
    """
    return f"{float(f'{ratio:.2g}'):,.0f}" if ratio >= 100 else format_number(ratio)


def are_alike(one: float, other: float) -> bool:
    """Say whether two amounts > 0 differ by at most 5 %.

    >>> are_alike(1.03, 1.0), are_alike(1.0, 1.08)
    (True, False)
    """
    return max(one, other) <= (1 + _NOISE) * min(one, other)


def format_split(high_share: float) -> str:
    """Write the clients' shares, high- and low-resource, in per cent; parse_split reads it.

    >>> format_split(0.1), format_split(0.925)
    ('10/90', '92.5/7.5')
    """
    high = 100 * high_share
    return f"{high:g}/{100 - high:g}"


def format_comparison(ours: float, theirs: float, less: str = "lower", more: str = "higher") -> str:
    """Write by how much one amount is lower or higher than another.

    Args:
        ours: the amount that the sentence is about.
        theirs: the amount it is compared with, in the same unit.
        less: the word for a lower amount, e.g. "faster" for a time.
        more: the word for a higher amount.

    >>> format_comparison(2.0, 7.0), format_comparison(3.0, 2.0, "faster", "slower")
    ('3.5x lower', '1.5x slower')
    >>> format_comparison(1.002, 1.0), format_comparison(0.0, 1.0)
    ('the same (±5 %)', 'not comparable')
    """
    if ours <= 0 or theirs <= 0:
        return "not comparable"
    ratio = max(ours, theirs) / min(ours, theirs)
    if are_alike(ours, theirs):
        return "the same (±5 %)"
    text = format_number(ratio, 2) if ratio < 100 else format_ratio(ratio)
    return f"{text}x {less if theirs > ours else more}"


def format_megabytes(value: float | str | None) -> str:
    """Write the paper's MB (10^6 bytes) with one decimal as the paper does; a small one exactly.

    >>> format_megabytes(44.695848), format_megabytes(1.2e-5)
    ('44.7', '1.2 × 10⁻⁵')
    """
    if value is None:
        return MISSING
    if isinstance(value, str):
        return value
    if value == 0 or abs(value) >= 0.05:
        return f"{value:,.1f}".replace("-", "−")
    return _power_of_ten(value)


def format_quantity(value: float, unit: str) -> str:
    """Write a metric in what suits its unit.

    >>> format_quantity(4096, "byte"), format_quantity(1.25, "ratio"), format_quantity(20.7, "GB/s")
    ('4 KiB', '1.25x', '20.7 GB/s')
    >>> format_quantity(0.999, "number")  # without a unit, a correlation for instance
    '0.999'
    """
    writers = {
        "byte": format_bytes,
        "second": format_seconds,
        "share": format_percent,
        "count": "{:,.0f}".format,
        "number": format_number,
    }
    if unit in writers:
        return writers[unit](value)
    return f"{format_number(value)}{'x' if unit == 'ratio' else f' {unit}'}"


def _power_of_ten(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    superscript = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} × 10{superscript}".replace("-", "−")
