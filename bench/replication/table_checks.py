"""What the user chose for tables of whole trainings, checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.replication.chosen import SEARCH
from bench.replication.definitions import TABLES
from bench.replication.rates import read_rates
from bench.replication.run_options import Options
from bench.replication.spec import TableScale, cells_of
from bench.replication.table_run import own_scale, table_scale
from zo_core.data import needs_files, require_dataset


def names_at(scale: str) -> tuple[str, ...]:
    """List the tables that can be run at a scale."""
    return tuple(n for n, t in TABLES.items() if t.scales is None or scale in t.scales)


def check(name: str, scale: str) -> None:
    """Make sure that a table can be run at a scale: its cells' configs, their rates.

    Raises:
        ValueError: it cannot; the message says where it can.
    """
    if name == SEARCH:
        table_scale(scale)
        return
    table = TABLES[name]
    if table.scales is not None and scale not in table.scales:
        raise ValueError(
            f"{name} runs only at scale {' or '.join(table.scales)}, got {scale}."
            f" {' '.join(table.notes)}"
        )
    chosen = table_scale(scale)
    list(cells_of(table, chosen, read_rates(chosen.rates), runs=1))


def check_own(names: Sequence[str], options: Options) -> None:
    """Refuse an own model or data set that a chosen table would not use.

    Raises:
        ValueError: every row of a table has its own; the message names the table.
    """
    for name in names:
        rows = () if name == SEARCH else TABLES[name].rows
        for option in options.own:
            if rows and all(option in row.fields for row in rows):
                raise ValueError(
                    f"--{option} has no effect on {name}, whose rows have their own {option};"
                    " leave one of them out"
                )


def check_data(names: Sequence[str], scale: str, options: Options) -> None:
    """Make sure that the files are there which tables train on at a scale.

    Raises:
        ValueError, FileNotFoundError: they are not, or damaged; the message names them.
        ImportError: the library that reads them is not installed.
    """
    folder = None if options.data_dir is None else Path(options.data_dir)
    found = [_datasets(table, own_scale(scale, options)) for table in names]
    datasets = dict.fromkeys(name for each in found for name in each)
    if not any(map(needs_files, datasets)):
        _refuse_file_options(datasets, options)
    for dataset in datasets:
        require_dataset(dataset, data_dir=folder, verify=options.verify)


def _refuse_file_options(datasets: Iterable[str], options: Options) -> None:
    given = {"data-dir": options.data_dir is not None, "no-verify": not options.verify}
    for name in datasets:
        for option in (option for option, is_given in given.items() if is_given):
            raise ValueError(
                f"--{option} has no effect on {name}, which needs no files; leave it out"
            )


def _datasets(name: str, scale: TableScale) -> set[str]:
    base = str(scale.base["dataset"])
    if name == SEARCH:
        return {base}
    return {row.fields.get("dataset", base) for row in TABLES[name].rows}
