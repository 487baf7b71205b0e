"""Costs and accuracy: who is ahead, by how much and on which figures, read from the records."""

from __future__ import annotations

import pytest
import sample_records as sample

from bench.records.paired import compare_on_seeds, paired_difference
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.report.costs import DIRECTION, ROUND, STEP, memory_figure, pair_of, pairs
from bench.report.groups.accuracy import accuracy_tables
from bench.report.groups.fit import board_tables
from bench.report.groups.memory import memory_tables
from bench.report.groups.time import time_tables
from bench.report.opponents import PLAIN, opponents_of
from bench.report.table import spread, verdict, whiskers
from bench.report.tile_accuracy import accuracy_tile

SAMPLE = Results.of(sample.sample_records())


def failed(*cases: str, status: str = "does not fit") -> Results:
    """Take the sample, with some cases failed."""
    records = {record.case: record for record in sample.sample_records()}
    for case in cases:
        records[case] = sample.failed(case, dict(records[case].config), status, "limit")
    return Results.of(records.values())


def test_the_first_pair_is_resnet18_at_the_papers_batch() -> None:
    pair = pairs(SAMPLE, memory_figure(SAMPLE))[0]
    assert (pair.model, pair.batch) == ("resnet18", 64)
    values = [
        SAMPLE.value(f"memory/resnet18/{method}/b64", "peak_above_baseline")
        for method in ("zo", "fedavg")
    ]
    assert [pair.zo, pair.backprop] == values


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (sample.memory_records(), "lower"),
        (sample.memory_records(factor=20.0), "higher"),
        (sample.time_records(), "faster"),
        (sample.time_records(factor=20.0), "slower"),
    ],
)
def test_whoever_is_ahead_is_read_from_the_records(
    records: list[sample.Record], words: str
) -> None:
    results = Results.of(records)
    figure = memory_figure(results) if words in ("lower", "higher") else ROUND
    pair = pairs(results, figure)[0]
    ratio = max(pair.zo, pair.backprop) / min(pair.zo, pair.backprop)
    number, word = pair.comparison.split("x ")
    assert float(number) == pytest.approx(ratio, rel=0.05)
    assert word == words


def test_a_difference_below_rounding_is_none_and_zero_has_no_ratio() -> None:
    def comparisons(factor: float) -> list[str]:
        results = Results.of(sample.memory_records(factor=factor))
        return [pair.comparison for pair in pairs(results, memory_figure(results))]

    of_backprop = pairs(SAMPLE, memory_figure(SAMPLE))[0]
    assert comparisons(1.001 * of_backprop.backprop / of_backprop.zo)[0] == "the same (±5 %)"
    assert comparisons(0.0) == []


def test_nothing_below_the_meters_resolution_has_a_ratio() -> None:
    """CNN's steps need some KiB, which the process's meter cannot resolve: no 5.00 x of these."""
    (above, *_) = memory_tables(SAMPLE)
    row = next(row for row in above.rows if (row[0].text, row[1].text) == ("CNN", "1"))
    assert [cell.text for cell in row[2:7]] == ["< 2.00", "< 2.00", "< 2.00", "–", "–"]


def test_equal_amounts_are_equal_within_the_noise() -> None:
    (above, *_) = memory_tables(SAMPLE)
    row = next(row for row in above.rows if (row[0].text, row[1].text) == ("ResNet18", "64"))
    assert row[6].text == "1.0x (±5 %)"  # ZO against inference


def test_equal_ends_of_a_range_are_not_written() -> None:
    assert spread(Metric.median([1.001, 1.002], "byte", "meter"), "{:.1f}".format) == ""
    assert spread(Metric.median([1.0, 2.0], "byte", "meter"), "{:.1f}".format) == "1.0–2.0"


def test_whiskers_of_times_leave_outliers_out_and_count_them() -> None:
    times = Metric.median([9.0] * 27 + [8.0, 10.0, 24.0], "second", "clock")
    assert spread(times, "{:.0f}".format) == "9–10; 2 outside"
    assert whiskers(Metric.median([1.0, 2.0, 9.0], "second", "clock")) == (1.0, 9.0, 0)


BOTH = Results.of([*sample.sample_records(), *sample.low_memory_records()])


def test_the_strongest_backprop_is_the_opponent() -> None:
    plain, least = opponents_of(BOTH, "resnet18")
    assert plain is PLAIN
    assert least.methods == ("zo-by-1", "backprop-least")
    assert opponents_of(SAMPLE, "resnet18") == [PLAIN]


def test_what_fits_has_the_memory_efficient_steps_too() -> None:
    rows = {row[0].text: row for row in board_tables(BOTH)[0].rows}
    assert rows["Backprop, 64"][4].text == "does not fit"
    assert rows["Backprop, one item at a time, checkpointed, 64"][4].text == "fits"
    assert rows["ZO, 64"][2].text == "463"  # the peak, and 150 MiB for the operating system


def test_a_direction_a_step_and_a_round_are_three_times() -> None:
    def seconds(method: str) -> list[float | None]:
        return [f.value(SAMPLE, "resnet18", method, 64) for f in (DIRECTION, STEP, ROUND)]

    timed = SAMPLE.value("time/resnet18/zo/b64", "direction") or 0.0
    assert seconds("zo") == [timed, 3 * timed, 45 * timed]
    step = SAMPLE.value("time/resnet18/fedavg/b64", "step") or 0.0
    assert seconds("fedavg") == [None, step, 45 * step]
    pair = pair_of(SAMPLE, STEP, "resnet18", 64)
    assert pair is not None
    assert pair.comparison == "2.0x slower"  # three directions against one step of backprop


def test_no_round_is_extrapolated_from_another_batch_than_the_papers() -> None:
    (table, *_) = time_tables(SAMPLE)
    rounds = {(row[0].text, row[1].text): row[4].text for row in table.rows}
    assert rounds["ZO", "1"] == rounds["Backprop", "1"] == "–"
    assert rounds["ZO", "64"] != "–"


@pytest.mark.parametrize(("zowarmup", "sign"), [(0.90, 1), (0.60, -1), (0.805, 0)])
def test_the_verdict_follows_the_interval(zowarmup: float, sign: int) -> None:
    ours, theirs = sample.accuracy_records(zowarmup=zowarmup)
    found = compare_on_seeds(ours, theirs, "test_accuracy")
    assert found is not None
    assert found.sign == sign
    tile = accuracy_tile(Results.of([ours, theirs]))
    assert tile is not None
    assert verdict(found) in tile.matches[0].name
    assert "n = 5" in tile.what


def test_too_few_seeds_are_no_verdict() -> None:
    found = compare_on_seeds(*sample.accuracy_records(seeds=1), "test_accuracy")
    assert found is not None
    assert found.sign is None
    tile = accuracy_tile(Results.of(sample.accuracy_records(seeds=1)))
    assert tile is not None
    assert "too few seeds" in tile.matches[0].name


def test_fedavg_is_in_the_tile_where_it_had_as_many_rounds() -> None:
    def shown(rounds: int) -> list[str]:
        records = [*sample.accuracy_records(), fedavg(0.97, rounds)]
        tile = accuracy_tile(Results.of(records))
        assert tile is not None
        return [bar.name for bar in tile.matches[0].chart.bars]

    assert shown(200) == ["ZOWarmUp", "High-Res-Only", "FedAvg"]
    assert shown(10) == ["ZOWarmUp", "High-Res-Only"]


def fedavg(end: float, rounds: int) -> sample.Record:
    """A training of FedAvg with all clients, one seed."""
    metrics = {"test_accuracy": sample.Metric.mean([end], "share", "sample run")}
    config = {"algorithm": "fedavg", "dataset": "digits", "rounds": rounds, "clients": 50}
    curves = [[{**sample.curve("fedavg", end)[-1], "rounds_done": rounds}]]
    details = sample.accuracy_details([0], curves)
    return sample.record("accuracy/fedavg/10-90", config, metrics, details=details)


def test_short_runs_are_tabulated_apart_and_each_row_names_its_rounds_and_seeds() -> None:
    compared, short, _ = accuracy_tables(Results.of([*sample.accuracy_records(), fedavg(0.5, 10)]))
    assert [row[1].detail for row in compared.rows] == ["200 rounds, n = 5"] * 2
    assert [(row[1].text, row[1].detail) for row in short.rows] == [("FedAvg", "10 rounds, n = 1")]
    assert short.caption.startswith("Short runs, not compared")


def test_what_does_not_fit_keeps_its_row_and_is_compared_with_no_board() -> None:
    table = board_tables(failed("memory/resnet18/fedavg/b64"))[0]
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert rows["Backprop, 64"] == ["does not fit", *["–"] * 5]
    assert len(rows) == 3 * len(sample.BATCHES)


def test_paired_difference_of_a_known_sample() -> None:
    found = paired_difference([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.n, found.mean) == (5, 3.0)
    assert found.std == pytest.approx(2.5**0.5)
    assert found.interval == pytest.approx((3 - 1.9633, 3 + 1.9633), abs=1e-3)


def test_pairs_are_matched_by_seed_not_by_place() -> None:
    def run(name: str, by_seed: dict[int, float]) -> sample.Record:
        metrics = {"test_accuracy": sample.Metric.mean(list(by_seed.values()), "share", "sample")}
        details = sample.accuracy_details(by_seed)
        return sample.record(f"accuracy/{name}/1-9", {}, metrics, details=details)

    found = compare_on_seeds(
        run("a", {7: 0.5, 8: 0.9}), run("b", {8: 0.8, 7: 0.4, 9: 0.0}), "test_accuracy"
    )
    assert found is not None
    assert found.n == 2
    assert found.std == pytest.approx(0.0, abs=1e-12)
    assert found.mean == pytest.approx(0.1)


def test_runs_without_a_common_seed_are_not_compared() -> None:
    ours, _ = sample.accuracy_records()
    assert compare_on_seeds(ours, None, "test_accuracy") is None
