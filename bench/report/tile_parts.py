"""What a tile of the answer consists of."""

from __future__ import annotations

from dataclasses import dataclass

from bench.report.bars import BarChart


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One comparison: the result in large letters, what was compared, and its bars."""

    result: str  # "1.7x lower"
    name: str  # "plain steps"
    chart: BarChart


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One quantity of the answer."""

    title: str
    what: str  # defines the quantity
    matches: tuple[Match, ...]
    note: str = ""
