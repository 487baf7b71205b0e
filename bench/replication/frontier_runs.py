"""The trainings of the frontier on a data set of files: cells of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.records.case_name import split_part
from bench.records.details.training import CurvePoint
from bench.replication.frontier_variants import (
    FRONTIER_BASE,
    FRONTIER_DATASETS,
    FRONTIER_SPLIT,
    FRONTIER_VARIANTS,
)

if TYPE_CHECKING:
    from bench.replication.run_options import Options
    from bench.replication.table_run import Log
    from bench.sweeps.cell import Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One variant, trained with one seed or several."""

    panel: str  # what is compared with it: the split, with the data set before it if not digits
    split: str  # high-low per cent
    variant: str
    config: Mapping[str, Any]  # fields of TrainConfig, with the first seed
    curves: tuple[tuple[CurvePoint, ...], ...] = ()  # by seed; none where not trained here
    sources: Mapping[str, str] = field(default_factory=dict)  # file of a cell -> its key


def cell_run(variant: str, dataset: str, options: Options, folder: Path, log: Log) -> Run | None:
    """Train what is missing of a variant on a data set of files.

    Args:
        variant: a name in FRONTIER_VARIANTS.
        dataset: its name.
        options: data folder, engine, seeds, deadline.
        folder: of the run; finished cells below it are not run again.
        log: called with a line for each cell that has ended.

    Returns:
        The variant's training; None where a cell failed or there was no time for it.
    """
    from bench.replication.table_run import fill_cells
    from bench.sweeps.cell import CellStore

    cells, store = frontier_cells(variant, dataset, options.seeds or 1), CellStore.below(folder)
    fill_cells(cells, store, options, lambda text: log(f"{variant}: {text}"))
    done = [result for cell in cells if (result := store.done(cell)) is not None]
    trained = [result.training for result in done if result.training is not None]
    if len(trained) < len(cells):
        return None
    split = split_part(FRONTIER_SPLIT)
    return Run(
        panel=f"{dataset}-{split}",
        split=split,
        variant=variant,
        config=cells[0].config.to_json(),
        curves=tuple(training.curve for training in trained),
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
