"""Run a table or the search with what is missing, and make its record of what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.records.details.tables import SearchDetails, TableDetails
from bench.records.record import Metric
from bench.records.store import open_store
from bench.replication.chosen import SEARCH, chosen_cells, chosen_searches, chosen_splits
from bench.replication.definitions import TABLES
from bench.replication.rates import RatesInUse, chosen_rates, rates_in_use, traces_in
from bench.replication.run_options import Options
from bench.replication.scales import RUNGS, TABLE_SCALES
from bench.replication.search import SEARCHES, UnfinishedError, budget_rounds, run_search
from bench.replication.spec import PaperTable, Row, TableScale, cells_of, splits_of
from bench.replication.summary import Place, details_of, metrics_of, places_of
from bench.sweeps.cell import Cell, CellResult, CellStore
from bench.sweeps.engines import SweepRunner, open_engine
from bench.sweeps.task import TaskContext

Log = Callable[[str], None]
NAMES = (SEARCH, *TABLES)  # what --only takes, in the order in which they run


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A table's record, apart from what every record has."""

    config: Mapping[str, Any]
    metrics: Mapping[str, Metric]
    details: TableDetails | SearchDetails
    headline: str
    failures: tuple[str, ...] = ()  # of cells, in words


class TableRun:
    """One stretch of work on some tables: an engine, a store, a deadline."""

    def __init__(self, options: Options, folder: Path, scale: str) -> None:
        self.options = options
        self.scale = own_scale(scale, options)
        self.store = CellStore.below(open_store(folder))
        self._folder = folder

    @property
    def rates(self) -> RatesInUse:
        """The learning rates: those that a search in this folder chose, and the committed ones."""
        return rates_in_use(self.scale.rates, self._folder)

    def fill(self, name: str, log: Log) -> None:
        """Run a table's missing cells; one that fails is stored as such and the rest go on.

        Args:
            name: a name in TABLES.
            log: called with a line for each cell that has ended.
        """
        cells = chosen_cells(self._cells(name), self.options)
        saved = self._checkpoints()
        fill_cells(cells, self.store, self.options, lambda text: log(f"{name}: {text}"), saved)

    def outcome(self, name: str) -> Outcome:
        """Make a table's record from the cells that are there."""
        table, scale, rates = TABLES[name], self.scale, self.rates
        places = places_of(table, scale, self._cells(name), self.store)
        used = {row.rates: dict(rates.rates[row.rates]) for row in table.rows}
        done, asked = sum(len(p.runs) for p in places), sum(p.asked for p in places)
        failures = sorted({_words(result) for place in places for result in place.failures})
        remarks = _remarks(places)
        return Outcome(
            config={
                "table": table.name,
                **self._arithmetic,
                "base": dict(scale.base) | {"pivot_share": scale.pivot_share},
                "rates": used,
                "rates_origin": rates.origin,
                "rows": {row.name: dict(row.fields) for row in table.rows},
                "splits": list(splits_of(table, scale)),
                "runs": self._runs(table),
            },
            metrics={name: m for place in places for name, m in metrics_of(place).items()},
            details=TableDetails(
                title=table.title,
                baseline=table.baseline,
                quantity=table.quantity,
                x_label=table.x_label,
                notes=tuple(note for note in (*table.notes, scale.note, *remarks) if note),
                places=tuple(map(details_of, places)),
            ),
            headline="\n  ".join(
                [
                    f"{done} of {asked} runs done, {len(failures)} failed",
                    *(_words(result) for place in places for _, result in place.unfinished),
                    *remarks,
                ]
            ),
            failures=tuple(failures),
        )

    def search(self, log: Log) -> Outcome:
        """Search the rates of the chosen methods; what the folder has of the others stays."""
        scale, rungs = self.scale, RUNGS[self.scale.name]
        splits = chosen_splits(self.options)
        config = {
            "rates": scale.rates,
            **self._arithmetic,
            "splits": list(splits),
            "base": dict(scale.base) | {"pivot_share": scale.pivot_share},
            "rungs": [asdict(rung) for rung in rungs],
        }
        traces = traces_in(self._folder, config)
        failures: list[str] = []
        with open_workplace(self.store, self.options) as workplace:
            for search in chosen_searches(self.options):
                log(f"search: {search.method}")
                try:
                    traces[search.method] = run_search(search, scale, rungs, workplace, splits)
                except ValueError as error:  # the other methods go on
                    failures.append(f"{search.method}: {error}")
                except UnfinishedError as error:
                    failures.append(f"{search.method}: {error}")
                    break
        return Outcome(
            config=config,
            metrics={},
            details=SearchDetails(
                title="Learning-rate search",
                budget_rounds={m: budget_rounds(SEARCHES[m], rungs, splits) for m in traces},
                methods=traces,
            ),
            headline="; ".join(f"{m}: {_rates(chosen_rates(ts))}" for m, ts in traces.items()),
            failures=tuple(failures),
        )

    def _runs(self, table: PaperTable) -> int:
        return self.options.seeds or self.scale.runs(table.paper_runs)

    def _cells(self, name: str) -> list[tuple[Row, str, Cell]]:
        table = TABLES[name]
        return list(cells_of(table, self.scale, self.rates.rates, runs=self._runs(table)))

    @property
    def _arithmetic(self) -> dict[str, str]:
        return {"device": self.options.device, "precision": self.options.precision}

    def _checkpoints(self) -> Path | None:
        return self._folder / "checkpoints" if self.scale.checkpointed else None


def fill_cells(
    cells: Sequence[Cell],
    store: CellStore,
    options: Options,
    log: Log,
    checkpoints: Path | None = None,
) -> None:
    """Run the cells that a store lacks; one that fails is stored as such and the rest go on.

    Args:
        cells: what there shall be, in the order in which they are run.
        store: where results are kept.
        options: engine, data folder, deadline.
        log: called with a line for each cell that has ended.
        checkpoints: folder in which long runs are saved.
    """
    missing = store.missing(cells)
    log(f"{len(missing)} of {len({cell.key for cell in cells})} runs are missing")
    if not missing:
        return
    share = options.per_process
    shares = [missing[start : start + share] for start in range(0, len(missing), share)]
    with open_workplace(store, options, checkpoints) as workplace:
        for done, result in enumerate(workplace.run(shares), 1):
            log(f"{done} of {len(missing)} runs, {_words(result)}")


@contextmanager
def open_workplace(
    store: CellStore, options: Options, checkpoints: Path | None = None
) -> Iterator[SweepRunner]:
    """Open the engine for some cells; those with checkpoints are saved at the deadline."""
    engine = open_engine(
        options.engine,
        workers=options.workers,
        address=options.address,
        device=options.device,
    )
    around = TaskContext(
        data_dir=options.data_dir,
        verify=options.verify,
        device=options.device,
        checkpoints=None if checkpoints is None else str(checkpoints.absolute()),
        deadline=options.deadline,
    )
    try:
        yield SweepRunner(engine=engine, store=store, around=around, stop=options.out_of_time)
    finally:
        engine.close()


def table_scale(name: str) -> TableScale:
    """Return a scale of the tables by name.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in TABLE_SCALES:
        raise ValueError(f"tables have scales {', '.join(TABLE_SCALES)}, got {name!r}")
    return TABLE_SCALES[name]


def own_scale(name: str, options: Options) -> TableScale:
    """Return a scale with the user's model and data in place of its own.

    Raises:
        ValueError: the scale is unknown.
    """
    scale = table_scale(name)
    return replace(scale, base={**scale.base, **options.fields})


def _remarks(places: Sequence[Place]) -> list[str]:
    """List what the trainings remark on their model and its weights, each once."""
    trained = [run.training for place in places for run in place.done]
    return sorted({f"warning: {remark}" for training in trained for remark in training.remarks})


def _words(result: CellResult) -> str:
    what = f"{result.config['algorithm']}, seed {result.config['run_seed']}"
    if result.training is None or result.status != "ok":
        return f"{what}: {result.status}: {result.error}"
    return f"{what}: {100 * result.training.last.accuracy:.1f} %"


def _rates(fields: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in fields.items())
