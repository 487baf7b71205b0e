"""The plots of each group, in the page's order; a report's tables are made without loading them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.records.record_index import Results
from bench.report.plots.accuracy import accuracy_by_bytes_plots, accuracy_plots
from bench.report.plots.bytes import bytes_plots
from bench.report.plots.frontier import budget_plots
from bench.report.plots.llm import instruct_plots
from bench.report.plots.memory import category_plots, memory_plots
from bench.report.plots.style import Plot
from bench.report.plots.tables import replication_plots
from bench.report.plots.time import time_plots

PlotBuilder = Callable[[Results], Sequence[Plot]]  # no plots where nothing was measured

PLOTS: Mapping[str, tuple[PlotBuilder, ...]] = {
    "memory": (category_plots, memory_plots),
    "bytes": (bytes_plots,),
    "time": (time_plots,),
    "accuracy": (accuracy_plots, accuracy_by_bytes_plots),
    "frontier": (budget_plots,),
    "tables": (replication_plots,),
    "llm": (instruct_plots,),
}


def plots_of(results: Results, group: str) -> list[Plot]:
    """Draw the plots of one group."""
    return [plot for build in PLOTS.get(group, ()) for plot in build(results)]
