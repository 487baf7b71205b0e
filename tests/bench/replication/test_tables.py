"""A table from cells of known accuracies to record, report and verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from optional import needs_results
from tiny_cells import result, training

from bench.records.paired import paired_difference
from bench.records.record import Record, provenance
from bench.records.record_index import Results
from bench.records.typed_json import to_json
from bench.replication.definitions import TABLES
from bench.replication.rates import read_rates
from bench.replication.run_options import Options
from bench.replication.scales import TABLE_SCALES
from bench.replication.spec import cells_of
from bench.replication.summary import Run, curve_of
from bench.replication.table_run import TableRun
from bench.report.groups.tables import accuracy_table, cost_table
from bench.report.paper_claims import CLAIMS
from bench.report.paper_results import PAGE, results_page, verdict
from bench.report.plots.tables import replication_plots
from bench.report.replicated_table import ReplicatedTable

REPOSITORY = Path(__file__).parents[3]
SCALE = TABLE_SCALES["default"]


def record_of(folder: Path, table: str, *, runs: int, skipped: int = 0) -> Record:
    """ZOWarmUp reaches 0.8 and anything else 0.7, a hundredth more each seed."""
    campaign = TableRun(Options(seeds=runs), folder, "default")
    cells = list(cells_of(TABLES[table], SCALE, read_rates(SCALE.rates), runs=runs))
    for index, (row, _, cell) in enumerate(cells):
        base = 0.8 if row.name == "zowarmup" else 0.7
        if index >= skipped:
            campaign.store.write(result(cell, base + cell.config.run_seed / 100))
    outcome = campaign.outcome(table)
    return Record(
        case=f"tables/{table}",
        group="tables",
        case_version=1,
        status="ok",
        config=outcome.config,
        metrics=outcome.metrics,
        details=to_json(outcome.details),
        provenance=provenance("default", {}),
    )


def read(record: Record) -> ReplicatedTable:
    table = ReplicatedTable.of(record)
    assert table is not None
    return table


def test_a_place_has_a_sample_a_seed_and_its_difference_is_paired(tmp_path: Path) -> None:
    record = record_of(tmp_path, "table2", runs=3)
    metric = record.metrics["zowarmup/10-90/test_accuracy"]
    assert metric.samples == pytest.approx((0.80, 0.81, 0.82))
    table = read(record)
    places = [table.place(row, "10/90") for row in ("zowarmup", "high-res-only")]
    found = table.difference(places[0], places[1], "test_accuracy")
    assert found is not None
    assert (found.n, found.mean) == (3, pytest.approx(0.1))


def test_a_part_of_a_table_is_told_with_its_n(tmp_path: Path) -> None:
    replicated = read(record_of(tmp_path, "fig3", runs=2, skipped=1))
    place = replicated.place("high-res-only", "10/90")
    assert place is not None
    assert (place.seeds, place.asked) == ((1,), 2)
    table = accuracy_table(replicated)
    column = table.columns.index("n")
    assert [row[column].text for row in table.rows] == ["1 of 2", *["2 of 2"] * 5]


def test_a_place_without_runs_says_so_and_breaks_nothing(tmp_path: Path) -> None:
    record = record_of(tmp_path, "fig3", runs=1, skipped=9)
    assert record.metrics["zowarmup/10-90/test_accuracy"].reason is not None
    assert accuracy_table(read(record)).rows
    assert cost_table(read(record)).rows
    assert replication_plots(Results.of([record])) == []


@pytest.mark.parametrize("table", ["table2", "fig4", "fig6", "fig7"])
def test_every_kind_of_record_is_tabled_and_drawn(tmp_path: Path, table: str) -> None:
    record = record_of(tmp_path, table, runs=2)
    assert len(accuracy_table(read(record)).rows) == len(record.details["places"])
    assert replication_plots(Results.of([record]))


def test_a_table_without_curves_or_axis_has_no_plot(tmp_path: Path) -> None:
    assert replication_plots(Results.of([record_of(tmp_path, "table7", runs=1)])) == []


def test_a_curve_ends_where_the_shortest_run_does_and_keeps_its_last_point() -> None:
    def run(rounds: int, **changes: object) -> Run:
        done = training(0.5)
        points = (replace(done.last, rounds_done=r, **changes) for r in range(1, rounds + 1))  # type: ignore[arg-type]
        return Run(training=replace(done, curve=tuple(points)), clients=10, pivot=1)

    curve = curve_of([run(50, item_passes=30), run(40, item_passes=30)])
    assert curve[-1].rounds == 40
    assert len(curve) <= 21
    assert curve[-1].item_passes_per_client == 3.0
    older = run(1, item_passes=None)
    assert curve_of([older])[0].item_passes_per_client is None


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([[0.1, 0.11, 0.12]], "confirmed"),
        ([[-0.1, -0.11, -0.12]], "confirmed in 0 of 1, contradicted in 1"),
        ([[-0.1, 0.0, 0.12]], "inconclusive"),
        ([[0.1, 0.11]], "not run yet, or too few seeds"),
        ([[0.1, 0.11, 0.12], [0.1]], "confirmed in the 1 that ran"),
    ],
)
def test_a_claim_is_judged_by_its_intervals(differences: list[list[float]], expected: str) -> None:
    claim = next(claim for claim in CLAIMS if claim.expected == "more")
    assert verdict(claim, [paired_difference(values) for values in differences]) == expected


def test_every_claim_speaks_of_rows_that_its_table_has() -> None:
    for claim, name in ((each, name) for each in CLAIMS for name in each.tables):
        rows = {row.name for row in TABLES[name].rows}
        for comparison in claim.comparisons:
            assert {comparison.row, comparison.other} <= rows
            assert set(comparison.splits) <= set(TABLES[claim.tables[0]].splits)
        assert set(claim.spread) <= rows


@needs_results
def test_the_papers_results_are_those_of_the_committed_records() -> None:
    page = (REPOSITORY / PAGE).read_text()
    assert page == results_page(REPOSITORY), "run `make docs`"
