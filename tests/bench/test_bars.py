"""Bars and dots show the records' figures: from a true zero, or on an axis of powers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import sample_records as sample
import test_cuda_records as gpu_records

from bench.boards import BOARDS
from bench.records.record_index import Results
from bench.report.bars import Bar, BarChart, LogAxis
from bench.report.page import fill
from bench.report.plots.by_group import CHARTS, charts_of
from bench.report.plots.fit import fit_charts
from bench.report.tiles import answer_tiles

WHOLE = Results.of([*sample.sample_records(), *sample.low_memory_records()])
MIB = sample.MIB


@cache
def charts(group: str) -> dict[str, BarChart]:
    return {
        chart.caption.partition(":")[0].partition(",")[0]: chart
        for chart in charts_of(WHOLE, group)
    }


def bars_of(chart: BarChart) -> dict[str, Bar]:
    return {bar.name: bar for bar in chart.bars}


def test_a_bars_length_is_in_proportion_to_its_value() -> None:
    bars = bars_of(charts("time")["CNN"])
    zo, backprop = (
        factor * (WHOLE.value(f"time/cnn/{method}/b64", metric) or 0.0)
        for method, metric, factor in (("zo", "direction", 45), ("fedavg", "step", 45))
    )
    assert bars["ZO"].end / bars["Backprop"].end == pytest.approx(zo / backprop)


def test_dots_lie_on_a_logarithmic_axis_and_carry_their_bytes() -> None:
    chart = charts("bytes")["ResNet18"]
    assert chart.dots
    assert [bar.text for bar in chart.bars] == ["44 B", "162 B", "42.6 MiB", "42.6 MiB"]
    ticks = {line.words: line.at for line in chart.lines}
    assert ticks["1 MiB"] == pytest.approx(2 * ticks["1 KiB"])


def test_stacked_tensors_add_up_to_their_peak() -> None:
    bar = bars_of(charts("memory")["ViT"])["Backprop"]
    other = bars_of(charts("memory")["ViT"])["ZO"]
    totals = [
        sum(WHOLE.by_case[f"memory/vit/{method}/b64"].details["tensor_by_category"].values())
        for method in ("fedavg", "zo")
    ]
    assert bar.end / other.end == pytest.approx(totals[0] / totals[1])
    assert [m.start for m in bar.marks[1:]] == pytest.approx(
        [m.start + m.width for m in bar.marks[:-1]]
    )


def test_what_fits_is_drawn_next_to_the_operating_system_and_the_board() -> None:
    chart = charts("fit")["ResNet18"]
    control = chart.control
    assert control is not None
    assert (control.limit_bytes, control.reserve_bytes) == (512 * MIB, 150 * MIB)
    for line, board in zip(chart.lines, BOARDS, strict=False):
        assert line.at == pytest.approx(board.memory_bytes / control.axis_bytes)
    for bar in chart.bars:
        peak = bar.amount or 0
        assert bar.end == pytest.approx((peak + 150 * MIB) / control.axis_bytes)
        assert (bar.tone == "bad") == (peak > 362 * MIB)


@pytest.mark.parametrize(("tone", "is_shown"), [("tight", True), ("good", False), ("bad", False)])
def test_the_legend_explains_tight_only_where_a_bar_is(tone: str, is_shown: bool) -> None:
    chart = charts("fit")["ResNet18"]
    bars = tuple(replace(bar, tone=tone) for bar in chart.bars)
    html = fill("machines.html.jinja", **_INDEX, charts=[replace(chart, bars=bars)])
    assert ('class="tight-bar">' in html) == is_shown


_INDEX = {"count": 1, "rows": (), "columns": (), "tables": ()}


def test_bars_stay_visible_next_to_a_large_memory() -> None:
    (chart,) = fit_charts(Results.of(gpu_records.on_a_gpu()))[:1]
    assert chart.bars[-1].end > 0.5


def test_every_bar_says_on_hover_what_it_is_made_from() -> None:
    for bar in charts("fit")["ResNet18"].bars + charts("time")["CNN"].bars:
        assert "n = " in bar.marks[-1].hover


@pytest.mark.parametrize("group", CHARTS)
def test_nothing_measured_is_nothing_drawn(group: str) -> None:
    assert charts_of(Results.of([]), group) == []


@pytest.mark.parametrize("values", [[5.0], [1.0, 1024.0], [3.0, 7.0, 1e9]])
def test_an_axis_spans_its_values(values: list[float]) -> None:
    axis = LogAxis.over(values)
    assert all(0 <= axis.share(value) <= 1 for value in values)
    assert axis.share(axis.low) == 0
    assert axis.share(axis.high) == 1


def test_the_tiles_compare_plain_and_memory_efficient_steps() -> None:
    memory, sent, time, accuracy = answer_tiles(WHOLE)
    assert [match.name for match in memory.matches] == [
        "plain steps",
        "most memory-efficient steps",
    ]
    assert [match.result for match in memory.matches] == ["2.3x lower", "1.2x lower"]
    assert [bar.text for bar in memory.matches[0].chart.bars] == ["313 MiB", "710 MiB"]
    assert [match.name for match in sent.matches] == ["sent", "received"]
    assert time.matches[1].result == "2.2x faster"
    assert accuracy.matches[0].result == "+8.0 points"


def test_a_method_that_does_not_fit_has_no_ratio_and_its_reason() -> None:
    records = {record.case: record for record in sample.sample_records()}
    for batch in sample.BATCHES:
        case = f"memory/resnet18/fedavg/b{batch}"
        records[case] = sample.failed(case, dict(records[case].config), "does not fit", "limit")
    memory = answer_tiles(Results.of(records.values()))[0]
    assert memory.matches[0].result == "–"
    assert [bar.text for bar in memory.matches[0].chart.bars] == ["313 MiB", "does not fit"]


def test_there_are_tiles_only_of_what_was_measured() -> None:
    assert [tile.title for tile in answer_tiles(Results.of(sample.bytes_records()))] == ["Bytes"]
    assert answer_tiles(Results.of([])) == []
