"""The charts and plots of each group, in the page's order; a report's tables load none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.records.record_index import Results
from bench.report.bars import BarChart
from bench.report.plots.accuracy import accuracy_by_bytes_plots, accuracy_plots
from bench.report.plots.bytes import bytes_charts
from bench.report.plots.categories import category_charts
from bench.report.plots.edge import edge_charts
from bench.report.plots.fit import fit_charts
from bench.report.plots.frontier import budget_plots
from bench.report.plots.llm import instruct_plots
from bench.report.plots.memory import memory_plots
from bench.report.plots.style import Plot
from bench.report.plots.tables import replication_plots
from bench.report.plots.time import time_charts
from bench.report.plots.timeline import timeline_plots

# Each returns nothing where nothing was measured.
ChartBuilder = Callable[[Results], Sequence[BarChart]]
PlotBuilder = Callable[[Results], Sequence[Plot]]

CHARTS: Mapping[str, ChartBuilder] = {  # bars and dots, which the page draws itself
    "fit": fit_charts,
    "memory": category_charts,
    "bytes": bytes_charts,
    "time": time_charts,
    "edge": edge_charts,
}
PLOTS: Mapping[str, tuple[PlotBuilder, ...]] = {  # lines, which matplotlib draws
    "memory": (timeline_plots, memory_plots),
    "accuracy": (accuracy_plots, accuracy_by_bytes_plots),
    "frontier": (budget_plots,),
    "tables": (replication_plots,),
    "llm": (instruct_plots,),
}


def charts_of(results: Results, group: str) -> list[BarChart]:
    """Make the bar charts of one group."""
    return list(CHARTS[group](results)) if group in CHARTS else []


def plots_of(results: Results, group: str) -> list[Plot]:
    """Draw the plots of one group."""
    return [plot for build in PLOTS.get(group, ()) for plot in build(results)]
