"""A search that runs out of time: nothing is chosen from a part of a rung, and it goes on later."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_cells import InstantEngine

from bench.records.details.tables import SearchDetails, StageTrace
from bench.replication.run_options import Options
from bench.replication.scales import TABLE_SCALES
from bench.replication.search import SEARCHES, UnfinishedError, run_search
from bench.replication.table_run import TableRun
from bench.sweeps.cell import CellStore
from bench.sweeps.engines import SweepRunner
from bench.sweeps.halving import Rung
from bench.sweeps.task import TaskContext

RUNGS = (Rung(candidates=3, rounds=5), Rung(candidates=2, rounds=10))


def search(folder: Path, most_processes: int) -> tuple[StageTrace, ...]:
    """Search a method's rates in the time that so many processes take."""
    engine = InstantEngine()
    workplace = SweepRunner(
        engine=engine,
        store=CellStore.below(folder),
        around=TaskContext(),
        stop=lambda: engine.started >= most_processes,
    )
    return run_search(SEARCHES["zowarmup"], TABLE_SCALES["default"], RUNGS, workplace)


def gave_up(folder: Path, most_processes: int) -> str | None:
    """Search; return what is told where time ran out."""
    try:
        search(folder, most_processes)
    except UnfinishedError as error:
        return str(error)
    return None


def test_wherever_time_runs_out_nothing_is_chosen_and_the_rest_gives_the_same(
    tmp_path: Path,
) -> None:
    told = [gave_up(tmp_path / "cut", 1) for _ in range(20)]
    cuts = [words for words in told if words is not None]
    assert len(cuts) > 8  # each rung of both stages, more than once
    assert all("the same --out to continue" in words for words in cuts)
    assert search(tmp_path / "cut", 0) == search(tmp_path / "whole", 99)


def test_a_search_out_of_time_stops_at_its_first_method_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.replication.table_run.open_engine", lambda *_, **__: InstantEngine())
    outcome = TableRun(Options(minutes=1e-9), tmp_path, "smoke").search(lambda text: None)
    (failure,) = outcome.failures
    assert failure.startswith("high-res-only: ")
    assert "were not started within --minutes" in failure
    assert isinstance(outcome.details, SearchDetails)
    assert outcome.details.methods == {}
