"""Run a table or the search with what is missing, and make its record of what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.record import Metric
from bench.replication.cell import CellResult, CellStore
from bench.replication.definitions import TABLES
from bench.replication.engines import Engine, Surroundings, Task, open_engine, run_tasks
from bench.replication.rates import rates_origin, read_rates
from bench.replication.scales import RUNGS, TABLE_SCALES
from bench.replication.search import SEARCHES, StageTrace, budget_rounds, run_search
from bench.replication.spec import PaperTable, TableScale, cells_of, splits_of
from bench.replication.summary import details_of, metrics_of, places_of
from bench.store import open_store

Tell = Callable[[str], None]
SEARCH = "search"
NAMES = (SEARCH, *TABLES)  # what --only takes, in the order in which they run


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How tables are run."""

    engine: str = "local"
    address: str | None = None  # of a Ray cluster
    workers: int | None = None  # tasks at a time; None: as many as the engine has room for
    data_dir: str | None = None  # folder of data sets that are files
    verify: bool = True  # compare their checksums
    device: str = "cpu"
    seeds: int | None = None  # runs of a cell; None: the scale's
    minutes: float | None = None  # after which no further cell is begun

    def __post_init__(self) -> None:
        for name in ("seeds", "minutes"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be > 0, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A table's record, apart from what every record has."""

    config: Mapping[str, Any]
    metrics: Mapping[str, Metric]
    details: Mapping[str, Any]
    headline: str


class Campaign:
    """One stretch of work on some tables: an engine, a store, a deadline."""

    def __init__(self, options: Options, folder: Path, scale: str) -> None:
        self.options = options
        self.scale = table_scale(scale)
        self.store = CellStore.below(open_store(folder))
        self._folder = folder
        self._began = time.monotonic()

    def out_of_time(self) -> bool:
        """Tell whether no further cell is to be begun."""
        minutes = self.options.minutes
        return minutes is not None and time.monotonic() - self._began > 60 * minutes

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Open the engine for one table."""
        options = self.options
        engine = open_engine(
            options.engine,
            workers=options.workers,
            address=options.address,
            device=options.device,
        )
        try:
            yield engine
        finally:
            engine.close()

    @property
    def surroundings(self) -> Surroundings:
        """What cells need besides their configs."""
        saved = self._folder / "checkpoints" if self.scale.checkpointed else None
        return Surroundings(
            data_dir=self.options.data_dir,
            verify=self.options.verify,
            device=self.options.device,
            checkpoints=None if saved is None else str(saved.absolute()),
        )

    def run_table(self, name: str, tell: Tell) -> Outcome:
        """Run a table's missing cells, then make its record; an interruption makes it too.

        Args:
            name: a name in TABLES.
            tell: is told of each cell that has ended.
        """
        table, scale = TABLES[name], self.scale
        runs = self.options.seeds or scale.runs(table.paper_runs)
        cells = list(cells_of(table, scale, read_rates(scale.rates), runs=runs))
        missing = self.store.missing(cell for _, _, cell in cells)
        tasks = [Task(cells=(cell,), surroundings=self.surroundings) for cell in missing]
        tell(f"{name}: {len(missing)} of {len({c.key for _, _, c in cells})} runs are missing")
        if tasks:
            with self.engine() as engine:
                for done, result in enumerate(run_tasks(engine, tasks, self.out_of_time), 1):
                    self.store.write(result)
                    tell(f"{name}: {done} of {len(tasks)} runs, {_words(result)}")
        return self.table_outcome(table, runs)

    def table_outcome(self, table: PaperTable, runs: int) -> Outcome:
        """Make a table's record from the cells that are there."""
        scale, rates = self.scale, read_rates(self.scale.rates)
        cells = cells_of(table, scale, rates, runs=runs)
        places = places_of(table, scale, cells, self.store)
        used = {row.rates: dict(rates[row.rates]) for row in table.rows}
        done, asked = sum(len(p.runs) for p in places), sum(p.asked for p in places)
        failed = sum(len(p.failures) for p in places)
        return Outcome(
            config={
                "table": table.name,
                "base": dict(scale.base) | {"pivot_share": scale.pivot_share},
                "rates": used,
                "rates_origin": rates_origin(scale.rates),
                "rows": {row.name: dict(row.fields) for row in table.rows},
                "splits": list(splits_of(table, scale)),
                "runs": runs,
            },
            metrics={name: m for place in places for name, m in metrics_of(place).items()},
            details={
                "title": table.title,
                "baseline": table.baseline,
                "quantity": table.quantity,
                "x_label": table.x_label,
                "notes": [note for note in (*table.notes, scale.note) if note],
                "places": [details_of(place) for place in places],
            },
            headline=f"{done} of {asked} runs done, {failed} failed",
        )

    def run_searches(self, tell: Tell) -> Outcome:
        """Search the rates of every method that a table of this scale uses."""
        scale, rungs = self.scale, RUNGS[self.scale.name]
        traces: dict[str, list[StageTrace]] = {}
        with self.engine() as engine:
            for method, search in SEARCHES.items():
                tell(f"search: {method}")
                traces[method] = run_search(
                    search,
                    scale,
                    rungs,
                    engine=engine,
                    store=self.store,
                    around=self.surroundings,
                )
        chosen = {m: {k: v for t in ts for k, v in t.chosen.items()} for m, ts in traces.items()}
        return Outcome(
            config={
                "rates": scale.rates,
                "base": dict(scale.base) | {"pivot_share": scale.pivot_share},
                "rungs": [asdict(rung) for rung in rungs],
            },
            metrics={},
            details={
                "title": "Learning-rate search",
                "budget_rounds": {m: budget_rounds(SEARCHES[m], rungs) for m in traces},
                "methods": {m: [asdict(t) for t in ts] for m, ts in traces.items()},
            },
            headline="; ".join(f"{m}: {_rates(fields)}" for m, fields in chosen.items()),
        )


def table_scale(name: str) -> TableScale:
    """Return a scale of the tables by name.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in TABLE_SCALES:
        raise ValueError(f"tables have scales {', '.join(TABLE_SCALES)}, got {name!r}")
    return TABLE_SCALES[name]


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
            f"{name} is run at scale {' or '.join(table.scales)} alone, got {scale}."
            f" {' '.join(table.notes)}"
        )
    chosen = table_scale(scale)
    list(cells_of(table, chosen, read_rates(chosen.rates), runs=1))


def _words(result: CellResult) -> str:
    what = f"{result.config['algorithm']}, seed {result.config['run_seed']}"
    if result.training is None:
        return f"{what}: {result.status}: {result.error}"
    last = result.training["curve"][-1]
    return f"{what}: {100 * last['test_accuracy']:.1f} %"


def _rates(fields: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in fields.items())
