"""Plots of the paper's tables and figures: accuracy curves, and rows over an axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bench.format import format_percent
from bench.records.details.tables import MeanPoint, PlaceDetails
from bench.records.record_index import Results
from bench.report.plots.byte_axis import set_byte_axis
from bench.report.plots.style import Look, Plot, hover, look, panel
from bench.report.replicated_table import ReplicatedTable
from bench.report.table import count_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_TICKS = 5  # of numbers of six digits, which have room then
_CURVES = ("table2", "table4", "table5", "fig3")  # records whose rows are drawn as curves
_ABSCISSAE: Mapping[str, tuple[str, Callable[[MeanPoint], float]]] = {
    "rounds": ("Rounds", lambda point: point.rounds),
    "bytes": (
        "Bytes up and down, mean of all clients (logarithmic)",
        lambda point: point.link_bytes_per_client,
    ),
    "passes": (
        "Items forwarded per client; a backward counts as two",
        lambda point: point.item_passes_per_client or 0.0,
    ),
    "seconds": ("Seconds of training on one thread", lambda point: point.elapsed_s),
}


def replication_plots(results: Results) -> list[Plot]:
    """Draw every record's curves, or its rows over their places on an axis."""
    tables = filter(None, map(ReplicatedTable.of, results.group("tables")))
    return [plot for table in tables for plot in _plots(table)]


def _plots(table: ReplicatedTable) -> Iterator[Plot]:
    config = table.record.config
    if not any(place.seeds for place in table.places):
        return  # nothing is run yet
    if table.details.x_label:
        yield _places_plot(table)
    elif config.get("table") in _CURVES:
        done = {place.split for place in table.places if place.curve}
        for split in filter(done.__contains__, config["splits"]):
            for name in _ABSCISSAE if config["table"] == "fig3" else ("rounds",):
                if name != "passes" or _has_passes(table, split):
                    yield _curves_plot(table, split, name)


def _has_passes(table: ReplicatedTable, split: str) -> bool:
    """Return whether all of a split's curves count passes; those of older versions do not."""
    points = (point for p in table.places if p.split == split for point in p.curve)
    return all(point.item_passes_per_client is not None for point in points)


def _curves_plot(table: ReplicatedTable, split: str, abscissa: str) -> Plot:
    words, x_of = _ABSCISSAE[abscissa]
    places = [p for p in table.places if p.split == split and p.curve]
    number = table.details.title.partition(":")[0]
    with panel(f"{number}, {split}", words, "Test accuracy (%)") as (fig, axes):
        for place in places:
            x = [x_of(point) for point in place.curve]
            _line(axes, _look(table, place), x, place.curve, place.label)
        if abscissa == "bytes":
            set_byte_axis(axes)
        if abscissa == "passes":
            axes.locator_params(axis="x", nbins=_MOST_TICKS)
            axes.xaxis.set_major_formatter("{x:,.0f}")
        if abscissa == "rounds":
            axes.axvline(_pivot(table), color="#555555", linestyle=":", linewidth=1.2)
        axes.set_ylim(0, 100)
        axes.legend(loc="lower right")
    n = count_range(len(place.seeds) for place in places)
    return Plot(
        name=f"tables-{table.record.config['table']}-{split.replace('/', '-')}-{abscissa}",
        caption=(
            f"{table.details.title}, {split}: {_sample(n, 'band from smallest to largest')}."
            f"{' Dotted: the pivot.' if abscissa == 'rounds' else ''}"
        ),
        alt=f"Test accuracy over {words.lower()} at {split}, by method",
        figure=fig,
    )


def _sample(n: str, spread: str) -> str:
    return "one seed (n = 1)" if n == "1" else f"mean over n = {n} seeds, {spread}"


def _line(
    axes: Axes, style: Look, x: Sequence[float], curve: Sequence[MeanPoint], label: str
) -> None:
    axes.plot(
        x,
        [100 * point.mean for point in curve],
        label=label,
        color=style.color,
        marker=style.marker,
        markersize=4,
        linestyle=style.line,
        linewidth=1.6,
    )
    low, high = [100 * point.low for point in curve], [100 * point.high for point in curve]
    axes.fill_between(x, low, high, color=style.color, alpha=0.12, linewidth=0)
    for at, point in zip(x, curve, strict=True):
        hover(axes, at, 100 * point.mean, _words(label, point))


def _words(name: str, point: MeanPoint) -> str:
    low, mean, high = map(format_percent, (point.low, point.mean, point.high))
    return f"{name}, round {point.rounds:,.0f}: {mean} ({low}–{high})"


def _places_plot(table: ReplicatedTable) -> Plot:
    """Draw a figure's rows over their places, ours with spread and the paper's hollow."""
    quantity = table.details.quantity
    words = "Gain over the warm-up (points)" if quantity == "gain" else "Test accuracy (%)"
    series = _series(table)
    with panel(table.details.title, table.details.x_label or "", words) as (figure, axes):
        for index, (name, places) in enumerate(series.items()):
            _draw_series(axes, index, table, name, places)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    n = count_range(len(place.seeds) for place in table.places)
    return Plot(
        name=f"tables-{table.record.config['table']}",
        caption=(
            f"{table.details.title}: {_sample(n, 'bars of one standard deviation')}."
            " Hollow and dotted: the paper’s values, where it has them; other data, so compare"
            " shapes, not heights."
        ),
        alt=f"{words} over {table.details.x_label}",
        figure=figure,
    )


def _series(table: ReplicatedTable) -> dict[str, list[PlaceDetails]]:
    """Group places into lines: by the words before the last comma of the label, and by split."""
    lines: dict[str, list[PlaceDetails]] = {}
    several = len(table.record.config["splits"]) > 1
    for place in table.places:
        form = place.label.rsplit(", ", 1)[0] if ", tau" in place.label else ""
        name = ", ".join(filter(None, (form, place.split if several or not form else "")))
        lines.setdefault(name, []).append(place)
    return lines


def _draw_series(
    axes: Axes, index: int, table: ReplicatedTable, name: str, places: Sequence[PlaceDetails]
) -> None:
    style = look("", index)
    color, marker = style.color, style.marker
    found = [(p.x, table.metric(p, table.details.quantity)) for p in places]
    ours = [(x, 100 * (m.value or 0.0), 100 * (m.std or 0.0)) for x, m in found if m is not None]
    if ours:
        x, y, bars = zip(*ours, strict=True)
        axes.errorbar(
            *(x, y), yerr=bars, color=color, marker=marker, ms=5, capsize=3, lw=1.6, label=name
        )
    printed = [(p.x, p.printed.mean) for p in places if p.printed]
    if printed:
        axes.plot(
            *zip(*printed, strict=True),
            color=color,
            marker=marker,
            markerfacecolor="white",
            linestyle=":",
            linewidth=1.0,
            label=f"{name} (paper)",
        )


def _look(table: ReplicatedTable, place: PlaceDetails) -> Look:
    """Return the look of a row's method; of any other row, one by its place."""
    return look(str(place.row), list(table.record.config["rows"]).index(place.row))


def _pivot(table: ReplicatedTable) -> float:
    base = table.record.config["base"]
    return float(round(base["pivot_share"] * base["rounds"]))
