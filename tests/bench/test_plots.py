"""The plots show the records' figures, in marks that can be told apart without colour."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sample_records as sample

from bench.records.record_index import Results
from bench.report.plots.by_group import PLOTS, plots_of
from bench.report.plots.byte_axis import set_byte_axis
from bench.report.plots.inline import DARK, inline_svg
from bench.report.plots.memory import memory_plots
from bench.report.plots.style import LOOKS, Plot, hover, panel, save
from bench.report.plots.timeline import timeline_plots
from bench.report.section import Section
from bench.report.sections import SECTIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WHOLE = Results.of(sample.sample_records())
MIB = sample.MIB


@cache
def whole_plots() -> dict[str, Plot]:
    return drawn(WHOLE)


def drawn(results: Results) -> dict[str, Plot]:
    plots = [plot for group in PLOTS for plot in plots_of(results, group)]
    return {plot.name: plot for plot in plots}


def lines_of(plot: Plot) -> dict[str, list[tuple[float, float]]]:
    axes: Axes = plot.figure.axes[0]
    return {
        str(line.get_label()): [(float(x), float(y)) for x, y in line.get_xydata().tolist()]  # type: ignore[union-attr]
        for line in axes.get_lines()
        if not str(line.get_label()).startswith("_")
    }


def test_measured_points_are_the_medians() -> None:
    points = dict(lines_of(whole_plots()["memory-resnet18"])["ZO"])
    for batch in sample.BATCHES:
        value = WHOLE.value(f"memory/resnet18/zo/b{batch}", "peak_above_baseline")
        assert value is not None
        assert points[batch] == pytest.approx(value / MIB)


def with_timeline(record: sample.Record) -> sample.Record:
    timeline = {
        "timeline_bytes": [MIB, 3 * MIB, 2 * MIB],
        "timeline_phases": ["forward", "backward", "update"],
    }
    return replace(record, details={**record.details, **timeline})


def test_a_step_is_drawn_over_its_operators_where_the_records_have_it() -> None:
    assert timeline_plots(WHOLE) == []
    records = [with_timeline(record) for record in sample.memory_records()]
    plot = timeline_plots(Results.of(records))[0]
    assert [y for _, y in lines_of(plot)["Backprop"]] == [1, 3, 2]


def test_formulas_stand_above_the_loaded_weights_as_the_measurement_does() -> None:
    lines = lines_of(whole_plots()["memory-resnet18"])
    parameters, total, largest = 11_173_962, 1_228_810, 65_536
    backprop = dict(lines["eq. 4, each layer once"])[64]
    two_copies = dict(lines["eq. 5, two copies of P"])[64]
    in_place = dict(lines["eq. 5, one copy (in place)"])[64]
    assert backprop == pytest.approx(4 * (parameters + 64 * total) / MIB)
    assert two_copies == pytest.approx(4 * (parameters + 64 * largest) / MIB)
    assert in_place == pytest.approx(4 * 64 * largest / MIB)


def test_the_caption_says_that_the_weights_are_taken_out() -> None:
    assert "less one copy of the weights (42.6 MiB)" in whole_plots()["memory-resnet18"].caption


def test_formulas_end_with_the_measured_batches() -> None:
    for points in lines_of(whole_plots()["memory-resnet18"]).values():
        assert max(batch for batch, _ in points) == max(sample.BATCHES)


def test_only_resnet18_has_formulas() -> None:
    plot = whole_plots()["memory-vit"]
    assert set(lines_of(plot)) == {"Inference", "ZO", "Backprop"}
    assert "formula" not in plot.caption


def test_without_the_formulas_case_memory_is_drawn_alone() -> None:
    plots = memory_plots(Results.of(sample.memory_records()))
    # CNN's steps are below the resolution of the process's meter.
    assert [plot.name for plot in plots] == ["memory-resnet18", "memory-vit"]
    assert all("formula" not in plot.caption for plot in plots)


def test_accuracy_is_the_mean_over_seeds_with_the_pivot_marked() -> None:
    plot = whole_plots()["accuracy-10-90"]
    metric = WHOLE.value("accuracy/zowarmup/10-90", "test_accuracy")
    assert metric is not None
    assert lines_of(plot)["ZOWarmUp"][-1] == pytest.approx((200, 100 * metric))
    axes = plot.figure.axes[0]
    upright = [line for line in axes.get_lines() if list(line.get_xdata()) == [60, 60]]  # type: ignore[arg-type]
    assert len(upright) == 1
    assert "pivot" in [text.get_text() for text in axes.texts]


def test_accuracy_by_bytes_counts_all_bytes_over_all_clients() -> None:
    record = WHOLE.by_case["accuracy/zowarmup/10-90"]
    last = record.details["curves"][0][-1]
    total = last["up_payload_bytes"] + last["down_payload_bytes"]
    axes = whole_plots()["accuracy-by-bytes-10-90"].figure.axes[0]
    assert axes.get_xscale() == "log"
    x, _ = lines_of(whole_plots()["accuracy-by-bytes-10-90"])["ZOWarmUp"][-1]
    assert x == pytest.approx(total / 50)


@pytest.mark.parametrize(
    ("low", "high"), [(3.1e6, 4.9e6), (7e5, 1.2e7), (2e7, 1.9e9), (4e3, 3e7), (1e2, 4e9)]
)
def test_labels_of_a_logarithmic_axis_do_not_collide(low: float, high: float) -> None:
    with panel("title", "x", "y") as (figure, axes):
        axes.plot([low, high], [0, 1])
        set_byte_axis(axes)
    figure.draw_without_rendering()
    ticks = [*axes.xaxis.get_major_ticks(), *axes.xaxis.get_minor_ticks()]
    inside = [t.label1 for t in ticks if axes.get_xlim()[0] <= t.get_loc() <= axes.get_xlim()[1]]
    boxes = sorted((t.get_window_extent() for t in inside if t.get_text()), key=lambda b: b.x0)
    assert len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_the_axis_of_bytes_is_filled_by_what_is_drawn() -> None:
    with panel("title", "x", "y") as (_, axes):
        axes.plot([50e3, 1e6], [0, 1])
        set_byte_axis(axes)
    low, high = axes.get_xlim()
    assert low > 35e3
    assert high < 1.5e6


def test_every_colour_has_its_counterpart_in_the_dark(sample_page: Path) -> None:
    drawings = sorted((sample_page.parent / "plots").glob("*.svg"))
    assert len(drawings) == len(whole_plots())
    for drawing in drawings:
        used = set(re.findall(r'(?:fill|stroke)(?:: |=")(#\w{6})', drawing.read_text()))
        assert used - DARK.keys() == set(), drawing.name


def test_a_mean_ends_where_a_seed_diverged() -> None:
    results = Results.of(sample.accuracy_records(outcome="diverged"))
    plot = drawn(results)["accuracy-10-90"]
    assert lines_of(plot)["ZOWarmUp"][-1][0] == 140
    assert lines_of(plot)["High-Res-Only"][-1][0] == 200
    assert "diverged" in plot.caption


def test_every_caption_tells_n_and_every_axis_its_unit() -> None:
    assert whole_plots()
    for plot in whole_plots().values():
        axes = plot.figure.axes[0]
        assert "n = " in plot.caption
        assert axes.get_xlabel()
        assert axes.get_ylabel()


@pytest.mark.parametrize("pair", [("zo", "fedavg"), ("zowarmup", "high-res-only")])
def test_what_is_compared_differs_without_colour(pair: tuple[str, str]) -> None:
    first, second = (LOOKS[name] for name in pair)
    assert first.marker != second.marker


def test_a_drawing_in_the_page_keeps_its_ids_to_itself_and_shows_values_on_hover(
    tmp_path: Path,
) -> None:
    with panel("title", "x", "y") as (figure, axes):
        axes.plot([0, 1], [0, 1])
        hover(axes, 1, 1, "one & <two>")
    plot = Plot(name="p", caption="", alt='says "so"', figure=figure)
    svg = inline_svg(save(plot, tmp_path)["svg"].read_text(), plot.name, plot.alt)
    assert svg.startswith('<svg role="img" aria-label="says &quot;so&quot;"')
    assert "<title>one &amp; &lt;two&gt;</title>" in svg
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert ids
    assert all(name.startswith("p-") for name in ids)
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)
    assert {a or b for a, b in used} <= set(ids)


def test_a_long_title_is_broken_and_not_clipped() -> None:
    with panel("my_company.models.vision.tiny_segmentation_network:build", "x", "y") as (figure, _):
        pass
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for words in (axes.title, axes._left_title):  # type: ignore[attr-defined]
        assert words.get_window_extent().x1 <= figure.bbox.x1


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.group)
def test_nothing_measured_is_nothing_drawn(section: Section) -> None:
    nothing = Results.of([])
    assert [table for make in section.tables for table in make(nothing)] == []
    assert plots_of(nothing, section.group) == []


def test_a_plot_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plot = whole_plots()["memory-vit"]

    def breaks(path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(plot.figure, "savefig", breaks)
    with pytest.raises(OSError, match="disk full"):
        save(plot, tmp_path)
    assert not list(tmp_path.iterdir())
