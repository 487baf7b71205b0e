"""The trainings that a frontier is made of: a run's own accuracy records, or cells of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.records.record import Record
from bench.records.store import StoreError, read_records
from bench.replication.frontier_variants import (
    FRONTIER_BASE,
    FRONTIER_DATASETS,
    FRONTIER_SPLIT,
    FRONTIER_VARIANTS,
)

if TYPE_CHECKING:
    from bench.replication.table_run import Options, Tell
    from bench.sweeps.cell import Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One variant, trained with one seed or several."""

    panel: str  # what is compared with it: the split, with the data set before it if not digits
    split: str  # high-low per cent
    variant: str
    config: Mapping[str, Any]  # fields of TrainConfig, with the first seed
    curves: Sequence[Sequence[Mapping[str, Any]]]  # evaluations by seed
    sources: Mapping[str, str]  # where the accuracies come from: case or cell -> its hash


def accuracy_runs(folder: Path) -> list[Run]:
    """List the trainings of a folder's accuracy records."""
    try:
        records = read_records(folder)
    except StoreError:
        return []
    return [
        _run_of(record)
        for record in records
        if record.group == "accuracy" and record.status == "ok" and record.details.get("curves")
    ]


def require_accuracy(folder: Path | None) -> None:
    """Make sure that a frontier without accuracy cases of its own run has earlier ones.

    Raises:
        ValueError: it has none.
    """
    if folder is None or not accuracy_runs(folder):
        raise ValueError(
            "--only frontier joins the run's accuracy records with their costs, and there are none:"
            " run --only accuracy,frontier, or give the --out folder that holds them"
        )


def cell_run(variant: str, dataset: str, options: Options, folder: Path, tell: Tell) -> Run | None:
    """Train what is missing of a variant on a data set of files.

    Args:
        variant: a name in FRONTIER_VARIANTS.
        dataset: its name.
        options: data folder, engine, seeds, deadline.
        folder: of the run; finished cells below it are not run again.
        tell: is told of each cell that has ended.

    Returns:
        The variant's training; None where a cell failed or there was no time for it.
    """
    from bench.replication.table_run import fill_cells
    from bench.sweeps.cell import CellStore

    cells, store = frontier_cells(variant, dataset, options.seeds or 1), CellStore.below(folder)
    fill_cells(cells, store, options, lambda text: tell(f"{variant}: {text}"))
    done = [result for cell in cells if (result := store.done(cell)) is not None]
    trained = [result.training for result in done if result.training is not None]
    if len(trained) < len(cells):
        return None
    split = FRONTIER_SPLIT.replace("/", "-")
    return Run(
        panel=f"{dataset}-{split}",
        split=split,
        variant=variant,
        config=cells[0].config.to_json(),
        curves=[training["curve"] for training in trained],
        sources={f"cells/{result.key}.json": result.key for result in done},
    )


def frontier_cells(variant: str, dataset: str, seeds: int) -> list[Cell]:
    """Make the cells of a variant, one a seed."""
    from bench.sweeps.cell import Cell
    from zo_core.algorithms import taken_by, train_config
    from zo_core.data.resources import parse_split

    chosen = {
        **FRONTIER_BASE,
        "dataset": dataset,
        "high_share": parse_split(FRONTIER_SPLIT),
        **FRONTIER_VARIANTS[variant],
    }
    taken = taken_by(chosen["algorithm"], chosen)
    return [Cell(config=train_config(**taken, run_seed=seed)) for seed in range(seeds)]


def check_frontier(options: Options) -> None:
    """Make sure that the frontier can be trained on the data set of files in the data folder.

    Raises:
        ValueError, FileNotFoundError: it cannot; the message says why.
        ImportError: the library that reads the files is not installed.
    """
    from zo_core.data import require_dataset

    if options.engine != "local":
        raise ValueError(
            f"the frontier is trained by processes of this machine, got --engine {options.engine};"
            " leave that out, or run the tables alone by it (--only tables)"
        )
    folder = str(options.data_dir)
    require_dataset(dataset_in(folder), data_dir=Path(folder), verify=options.verify)


def dataset_in(data_dir: str) -> str:
    """Name the first of FRONTIER_DATASETS that has a folder in a data folder.

    Raises:
        FileNotFoundError: there is none.
    """
    folders = {"fashion-mnist": "FashionMNIST", "cifar10": "cifar-10-batches-py"}
    for name in FRONTIER_DATASETS:
        if (Path(data_dir) / folders[name]).is_dir():
            return name
    raise FileNotFoundError(
        f"{data_dir} must hold {' or '.join(folders.values())}, got neither; see docs/data.md"
    )


def _run_of(record: Record) -> Run:
    from zo_core.algorithms import taken_by

    chosen = taken_by(record.config["algorithm"], record.config)
    return Run(
        panel=record.name.split,
        split=record.name.split,
        variant=record.name.variant,
        config=chosen | {"run_seed": record.details["seeds"][0]},
        curves=record.details["curves"],
        sources={record.case: record.config_hash},
    )
