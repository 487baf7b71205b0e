"""Time and energy of one step, and of the paper's round."""

from __future__ import annotations

from dataclasses import replace

from bench.format import milliseconds, significant
from bench.records.record_index import Results
from bench.report.costs import TIME, step_table
from bench.report.section import Section
from bench.report.table import Table

_STEP = "Time per step, ms: median (smallest–largest)"
_ROUND = "Time of the paper’s round, extrapolated from the step, s: median (smallest–largest)"
_ENERGY = "Energy per step, joules: mean over steps in a row"


def time_tables(results: Results) -> list[Table]:
    """Tabulate time and energy of a step by model, batch and method, and the paper's round."""
    records = results.group("time")
    tables = [step_table(results, TIME, _STEP, write=milliseconds)] if records else []
    if any("round_extrapolated" in record.metrics for record in records):
        figure = replace(TIME, metric="round_extrapolated")
        methods = ("zo", "fedavg")  # inference has no round
        tables.append(step_table(results, figure, _ROUND, write=significant, methods=methods))
    if any(results.value(record.case, "energy") for record in records):
        figure = replace(TIME, metric="energy")
        tables.append(step_table(results, figure, _ENERGY, write=significant))
    return tables


SECTION = Section(
    group="time",
    title="Time and energy of one step",
    lead=(
        "Inference is two forwards. ZO is one direction: two forwards, the perturbations and the"
        " replay. FedAvg is forward, backward and update. In a round of the paper a client takes"
        " S = 3 directions over its 900 images with ZO, or three epochs over them with FedAvg."
    ),
    tables=(time_tables,),
    definitions={
        "Time": "Wall time, after one unmeasured repeat, in separate runs from memory.",
        "Energy": (
            "Joules of two seconds of steps in a row, per step, from the counters of the GPU or"
            " processor or from a board’s power sensors. None of them includes screen, storage,"
            " radio or power supply. Without a counter there is no figure."
        ),
    },
)
