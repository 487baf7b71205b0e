"""A long run that --minutes cuts: it is saved, described, and goes on to the same bits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.records.details.tables import TableDetails, UnfinishedRun
from bench.replication import table_run
from bench.replication.chosen import check_chosen, chosen_cells, chosen_searches
from bench.replication.run_options import Options
from bench.replication.scales import TABLE_SCALES
from bench.replication.table_run import TableRun
from bench.sweeps.cell import UNFINISHED

ONE_RUN = {"seeds": 1, "rows": "zowarmup", "splits": "50/50"}


@pytest.fixture
def paper_on_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scale paper, of 12 rounds on the digits."""
    small = {"dataset": "digits", "model": "cnn", "rounds": 12, "eval_every": 2}
    small["forward"] = "contiguous"  # a trial may choose differently for each run
    quick = replace(TABLE_SCALES["paper"], base={**TABLE_SCALES["paper"].base, **small})
    monkeypatch.setitem(table_run.TABLE_SCALES, "paper", quick)


def run_of(folder: Path, **options: object) -> TableRun:
    running = TableRun(Options(**{**ONE_RUN, **options}), folder, "paper")  # type: ignore[arg-type]
    running.fill("table2", lambda text: None)
    return running


def unfinished(running: TableRun) -> list[UnfinishedRun]:
    details = running.outcome("table2").details
    assert isinstance(details, TableDetails)
    return [run for place in details.places for run in place.unfinished]


def digest(folder: Path) -> str:
    (path,) = (folder / "cells").glob("*.json")
    return str(json.loads(path.read_text())["training"]["digest"])


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.usefixtures("paper_on_digits")
def test_a_run_that_is_cut_after_each_round_ends_at_the_digest_of_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(tmp_path / "whole")
    cut = tmp_path / "cut"
    monkeypatch.setattr(Options, "out_of_time", lambda self: False)  # starts, and is cut at once
    for _ in range(3):
        (left,) = unfinished(run_of(cut, minutes=1e-9))
    assert (left.rounds_done, left.rounds) == (3, 12)
    assert [point.rounds_done for point in left.curve] == [2]
    assert left.digest is not None
    assert left.projected_s is None  # no ZO round yet
    assert list((cut / "checkpoints").iterdir())
    running = run_of(cut)
    assert unfinished(running) == []
    assert digest(cut) == digest(tmp_path / "whole")
    assert list((cut / "checkpoints").iterdir()) == []


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.usefixtures("paper_on_digits")
def test_an_unfinished_run_is_no_failure_and_counts_as_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Options, "out_of_time", lambda self: False)
    running = run_of(tmp_path, minutes=1e-9, precision="fp16", rows="high-res-only")
    outcome = running.outcome("table2")
    assert outcome.failures == ()
    assert outcome.config["precision"] == "fp16"
    assert UNFINISHED in outcome.headline
    assert all(metric.value is None for metric in outcome.metrics.values())
    (left,) = unfinished(running)
    assert left.projected_s is not None  # it has one phase


def test_rows_and_splits_run_in_the_order_in_which_they_are_named() -> None:
    options = Options(rows="zowarmup,high-res-only", splits="50/50,10/90", seeds=2)
    cells = chosen_cells(TableRun(options, Path(), "paper")._cells("table2"), options)
    found = [(c.config.run_seed, c.config.high_share, c.config.algorithm) for c in cells]
    assert found == [
        (seed, share, algorithm)
        for seed in (0, 1)
        for share in (0.5, 0.1)
        for algorithm in ("zowarmup", "high-res-only")
    ]
    assert [search.method for search in chosen_searches(options)] == ["zowarmup", "high-res-only"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"rows": "zowarmup,mezo"}, "--rows .*'mezo'"), ({"splits": "5/95"}, "--splits .*'5/95'")],
)
def test_a_row_that_no_table_has_is_refused(options: dict[str, str], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        check_chosen(["table2", "search"], Options(**options))  # type: ignore[arg-type]
