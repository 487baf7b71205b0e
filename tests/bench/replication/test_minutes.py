"""A long run that --minutes cuts: it is saved, described, and goes on to the same bits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_cells import result, training

import devices
from bench.groups import TABLES, USED_BY
from bench.records.details.tables import (
    SearchDetails,
    StageTrace,
    TableDetails,
    Trial,
    UnfinishedRun,
)
from bench.records.record import Record, provenance
from bench.records.record_index import Results
from bench.records.store import open_store, write_record
from bench.records.typed_json import to_json
from bench.replication import table_run
from bench.replication.chosen import check_chosen, chosen_cells, chosen_searches
from bench.replication.rates import traces_in
from bench.replication.run_options import Options
from bench.replication.scales import TABLE_SCALES
from bench.replication.search import SEARCHES
from bench.replication.table_run import TableRun
from bench.report.groups.tables import SECTION, cost_table, unfinished_table
from bench.report.measured_on import heading_remark
from bench.report.replicated_table import ReplicatedTable
from bench.suite.unused_options import refuse_unused
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


def test_a_page_of_a_gpu_names_device_precision_and_the_runs_that_are_left(tmp_path: Path) -> None:
    running = TableRun(Options(device="cuda", precision="fp16", seeds=1), tmp_path, "paper")
    cells = chosen_cells(running._cells("table2"), replace(running.options, rows="zowarmup"))
    left = replace(training(0.5), outcome=UNFINISHED, rounds_done=310, projected_s=1500.0)
    stored = replace(result(cells[0], 0.5), status=UNFINISHED, training=left)
    running.store.write(stored)
    outcome = running.outcome("table2")
    accelerator = {"name": "Sample GPU 80", "memory_bytes": 80 << 30, "is_integrated": False}
    record = Record(
        case="tables/table2",
        group="tables",
        case_version=1,
        status="ok",
        config=outcome.config,
        metrics=outcome.metrics,
        details=to_json(outcome.details),
        provenance=provenance("paper", {"accelerator": accelerator}),
    )
    remark = heading_remark(Results.of([record]), SECTION)
    assert "Sample GPU 80" in remark
    assert "fp16" in remark
    table = ReplicatedTable.of(Record.from_json(record.to_json()))
    assert table is not None
    ((*_, rounds, accuracy, _, projected, digest),) = unfinished_table(table).rows
    assert (rounds.text, accuracy.text, digest.text) == ("310 of 500", "50.0 %", "00")
    assert projected.text == "25 min"
    assert "Time" in cost_table(table).columns


def test_tables_take_the_rates_that_a_search_in_their_folder_chose(tmp_path: Path) -> None:
    running = TableRun(Options(), tmp_path, "paper")
    before = running.rates
    stage = SEARCHES["high-res-only"].stages[0]
    chosen = {"server_lr": 0.5, "client_lr": 0.05}
    trace = StageTrace(
        stage=stage, trials=(Trial(rounds=20, fields=chosen, score=0.4),), chosen=chosen
    )
    details = SearchDetails(title="", budget_rounds={}, methods={"high-res-only": (trace,)})
    config = {"rates": "cifar10-resnet18"}
    open_store(tmp_path)
    write_record(
        tmp_path,
        Record(
            case="tables/search",
            group="tables",
            case_version=1,
            status="ok",
            config=config,
            metrics={},
            details=to_json(details),
            provenance=provenance("paper", devices.detect().to_json()),
        ),
    )
    after = running.rates
    assert after.rates == {**before.rates, "high-res-only": chosen}
    assert "high-res-only: search at scale paper" in after.origin
    assert traces_in(tmp_path, config) == {"high-res-only": (trace,)}
    assert traces_in(tmp_path, {**config, "splits": ["10/90"]}) == {}


@pytest.mark.parametrize("option", ["model", "device", "precision"])
def test_what_changes_trainings_is_taken_for_a_table(option: str) -> None:
    given = dict.fromkeys(USED_BY, False) | {option: True}
    refuse_unused(given, (TABLES,))
    with pytest.raises(ValueError, match=f"--{option} has no effect"):
        refuse_unused(given, ("formulas",))
