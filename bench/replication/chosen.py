"""The rows and splits of a table that the user asks for, and the order in which they run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.replication.definitions import TABLES
from bench.replication.run_options import Options
from bench.replication.search import SEARCHES, SPLITS, Search
from bench.replication.spec import Row
from bench.sweeps.cell import Cell

SEARCH = "search"


def chosen_cells(cells: Iterable[tuple[Row, str, Cell]], options: Options) -> list[Cell]:
    """List the cells to run: seed by seed, the splits and rows in the order of the options."""
    rows, splits = _names(options.rows), _names(options.splits)
    kept = [
        (cell.config.run_seed, _place(split, splits), _place(row.name, rows), cell)
        for row, split, cell in cells
        if (not rows or row.name in rows) and (not splits or split in splits)
    ]
    return [cell for *_, cell in sorted(kept, key=lambda each: each[:3])]


def chosen_searches(options: Options) -> list[Search]:
    """List the searches to run, in the order of the options."""
    rows = _names(options.rows)
    return [SEARCHES[name] for name in rows or SEARCHES if name in SEARCHES]


def chosen_splits(options: Options) -> tuple[str, ...]:
    """List the splits that a search's seeds take in turn."""
    return _names(options.splits) or SPLITS


def check_chosen(tables: Sequence[str], options: Options) -> None:
    """Refuse rows and splits that no table has which is run.

    Raises:
        ValueError: there is one; the message lists those that there are.
    """
    rows = {row.name for name in tables if name != SEARCH for row in TABLES[name].rows}
    splits = {split for name in tables if name != SEARCH for split in TABLES[name].splits}
    if SEARCH in tables:
        rows, splits = rows | SEARCHES.keys(), splits | set(SPLITS)
    for option, known in (("rows", rows), ("splits", splits)):
        for name in _names(getattr(options, option)):
            if name not in known:
                raise ValueError(
                    f"--{option} must name some of {', '.join(sorted(known))}, got {name!r}"
                )


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if order else 0
