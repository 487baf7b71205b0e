"""Plots of accuracy: over rounds, and over the bytes per client."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from bench.labels import FURTHER_ALGORITHMS, label
from bench.records.budget import is_compared
from bench.records.case_name import CaseName
from bench.records.details.training import AccuracyDetails, CurvePoint
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.typed_json import from_json
from bench.report.plots.byte_axis import set_byte_axis
from bench.report.plots.style import Plot, hover, look, panel
from bench.report.table import count_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Abscissa = Callable[[CurvePoint], float]


def accuracy_plots(results: Results) -> list[Plot]:
    """Draw test accuracy over rounds with the pivot marked, a plot for each split."""
    plots = (_accuracy_plot(results, split) for split in results.splits())
    return [plot for plot in plots if plot is not None]


def accuracy_by_bytes_plots(results: Results) -> list[Plot]:
    """Draw test accuracy over the cumulative bytes of a client, a plot for each split."""
    plots = (_bytes_plot(results, split) for split in results.splits())
    return [plot for plot in plots if plot is not None]


def _accuracy_plot(results: Results, split: str) -> Plot | None:
    records = _with_curves(results, split)
    if not records:
        return None
    pivot = records["zowarmup"].config["pivot"] if "zowarmup" in records else None
    with panel(_title(split), "Rounds", "Test accuracy (%)") as (figure, axes):
        for algorithm, record in records.items():
            _draw_curves(axes, algorithm, record, lambda point: float(point.rounds_done))
        axes.set_xlim(left=0)
        _finish(axes)
        if pivot:
            _mark_pivot(axes, pivot)
    return Plot(
        name=f"accuracy-{split}",
        caption=(
            f"{_sample(records)}{' Dotted: the pivot, where ZO starts.' if pivot else ''}"
            f"{_diverged(records)}"
        ),
        alt=f"Test accuracy over rounds at {split} high and low clients, by algorithm",
        figure=figure,
    )


def _bytes_plot(results: Results, split: str) -> Plot | None:
    records = _with_curves(results, split)
    if not records:
        return None
    axis = "Bytes up and down, mean of all clients (logarithmic)"
    with panel(_title(split), axis, "Test accuracy (%)") as (figure, axes):
        for algorithm, record in records.items():
            _draw_curves(axes, algorithm, record, _bytes_per_client(record.config["clients"]))
        set_byte_axis(axes)
        _finish(axes)
    return Plot(
        name=f"accuracy-by-bytes-{split}",
        caption=(
            "The same runs by cost: all payload bytes so far, the hand-over included, divided by"
            f" the number of clients. {_sample(records)}{_diverged(records)}"
        ),
        alt=f"Test accuracy over cumulative bytes per client at {split} high and low clients",
        figure=figure,
    )


def _with_curves(results: Results, split: str) -> dict[str, Record]:
    drawn = [name for name in results.algorithms() if name not in FURTHER_ALGORITHMS]
    cases = {name: CaseName.accuracy(name, split) for name in drawn}
    return {
        name: record
        for name, case in cases.items()
        if (record := results.record(case))
        and record.details_as(AccuracyDetails)
        and is_compared(results, record)
    }


def _draw_curves(axes: Axes, algorithm: str, record: Record, x_of: Abscissa) -> None:
    """Draw mean and band as far as all seeds go; a seed that diverged ends in a cross."""
    style, details = look(algorithm), _details(record)
    columns = list(
        zip(*details.curves, strict=False)
    )  # one evaluation of all seeds; ends with the shortest
    x = [statistics.fmean(map(x_of, column)) for column in columns]
    shares = [[100 * point.accuracy for point in column] for column in columns]
    axes.plot(
        x,
        [statistics.fmean(column) for column in shares],
        label=label(algorithm),
        color=style.color,
        marker=style.marker,
        markersize=5,
        linestyle=style.line,
        linewidth=1.8,
    )
    low, high = [min(column) for column in shares], [max(column) for column in shares]
    for at, column, share in zip(x, columns, shares, strict=True):
        mean = statistics.fmean(share)
        hover(axes, at, mean, _words(algorithm, column[0].rounds_done, share))
    axes.fill_between(x, low, high, color=style.color, alpha=0.18, linewidth=0)
    for curve, outcome in zip(details.curves, details.outcomes, strict=True):
        if outcome == "diverged":
            last = curve[-1]
            axes.plot(x_of(last), 100 * last.accuracy, "X", color=style.color, ms=9)


def _words(algorithm: str, rounds: int, shares: Sequence[float]) -> str:
    low, high = min(shares), max(shares)
    return (
        f"{label(algorithm)}, round {rounds}: {statistics.fmean(shares):.1f} %"
        f" ({low:.1f}–{high:.1f}), n = {len(shares)}"
    )


def _bytes_per_client(clients: int) -> Abscissa:
    def bytes_per_client(point: CurvePoint) -> float:
        return (point.up_payload_bytes + point.down_payload_bytes) / clients

    return bytes_per_client


def _mark_pivot(axes: Axes, pivot: int) -> None:
    axes.axvline(pivot, color="#555555", linestyle=":", linewidth=1.2)
    axes.annotate("pivot", (pivot, 0), xytext=(4, 3), textcoords="offset points", color="#555555")


def _details(record: Record) -> AccuracyDetails:
    return from_json(AccuracyDetails, record.details)


def _finish(axes: Axes) -> None:
    axes.set_ylim(0, 100)  # the same on all plots, so that splits can be compared
    axes.legend(loc="lower right")


def _title(split: str) -> str:
    high, low = split.split("-")
    return f"{high} % high-, {low} % low-resource clients"


def _sample(records: Mapping[str, Record]) -> str:
    n = count_range(len(_details(record).curves) for record in records.values())
    if n == "1":
        return "One seed (n = 1)."
    return f"Mean over n = {n} seeds, band from the smallest to the largest."


def _diverged(records: Mapping[str, Record]) -> str:
    if not any(_details(record).num_diverged for record in records.values()):
        return ""
    return " A cross marks where a seed diverged; mean and band end with the first that did."
