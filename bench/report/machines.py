"""Several machines on one page: a column per folder of records, a row per figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.format import MISSING, quantity, size
from bench.labels import label
from bench.records.case_name import CaseName
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.step_memory import DEVICE, HOST
from bench.records.store import read_records, replacing
from bench.report.page import embedded, fill, require_extra
from bench.report.plots.machines import machine_plots
from bench.report.provenance import commit_words
from bench.report.table import Cell, Table

# The figures that the page compares: group, metric, caption.
_FIGURES = (
    ("memory", DEVICE.above, "Peak device memory above the loaded model, allocated"),
    ("memory", DEVICE.whole, DEVICE.whole_name),
    ("memory", HOST.above, "Peak host memory above the loaded model"),
    ("memory", HOST.whole, "Peak host memory of the whole process"),
    ("time", "direction", "Time per direction, ZO"),
    ("time", "step", "Time per step, inference and backprop"),
    ("bytes", "up_payload", "Bytes up per client per round"),
    ("bytes", "down_payload", "Bytes down per client per round"),
    ("accuracy", "test_accuracy", "Test accuracy"),
)
_PROFILE = {
    "Processor": "soc",
    "Architecture": "arch",
    "Cores": "logical_cores",
    "System": "os",
    "Governor": "governor",
    "Power mode": "power_mode",
    "Emulator": "emulator",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One folder of records as a column."""

    name: str  # as column_names has it
    results: Results

    @property
    def newest(self) -> Record:
        """The record that was made last."""
        records = self.results.by_case.values()
        return max(records, key=lambda record: record.provenance.created)


def write_machines_page(folders: Sequence[Path], out: Path) -> Path:
    """Write the page that compares several folders of records.

    Args:
        folders: output folders of the suite, one per machine.
        out: the folder for machines.html and its plots.

    Returns:
        The HTML file.

    Raises:
        StoreError: a folder holds no records.
    """
    require_extra()
    machines = [
        Machine(name=name, results=Results.of(read_records(folder)))
        for name, folder in column_names(folders).items()
    ]
    plots = out / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    drawn = machine_plots({machine.name: machine.results for machine in machines})
    path = out / "machines.html"
    text = fill(
        "machines.html.jinja",
        count=len(machines),
        machines=profile_table(machines),
        plots=[embedded(plot, plots) for plot in drawn],
        tables=figure_tables(machines),
    )
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def column_names(folders: Sequence[Path]) -> dict[str, Path]:
    """Name folders by their last two parts, as results/ is laid out; by more where two share them.

    Args:
        folders: a folder that is given twice is one.
    """
    paths = dict.fromkeys(folder.resolve() for folder in folders)
    return {_shortest_name(path, [p for p in paths if p != path]): path for path in paths}


def _shortest_name(path: Path, others: Sequence[Path]) -> str:
    for length in range(2, len(path.parts)):
        ending = path.parts[-length:]
        if all(other.parts[-length:] != ending for other in others):
            return "/".join(ending)
    return str(path)


def profile_table(machines: Sequence[Machine]) -> Table:
    """Tabulate what the machines are and what made their records."""
    devices = [machine.newest.provenance.device for machine in machines]
    rows = [
        (Cell(words), *(Cell(str(device.get(name) or MISSING)) for device in devices))
        for words, name in _PROFILE.items()
    ]
    memory = (Cell(size(device.get("memory_bytes") or 0)) for device in devices)
    gpus = (Cell((device.get("accelerator") or {}).get("name", MISSING)) for device in devices)
    origins = [machine.newest.provenance for machine in machines]
    rows += [
        (Cell("Memory"), *memory),
        (Cell("Accelerator"), *gpus),
        (Cell("Scale"), *(Cell(origin.scale) for origin in origins)),
        (Cell("Division"), *(Cell(_divisions(machine)) for machine in machines)),
        (Cell("Commit"), *(Cell(commit_words(origin)) for origin in origins)),
    ]
    columns = ("", *(machine.name for machine in machines))
    return Table(caption="Profiles", columns=columns, rows=tuple(rows), labels=1)


def figure_tables(machines: Sequence[Machine]) -> list[Table]:
    """Tabulate each figure by case and machine."""
    tables = [_figure_table(machines, *figure) for figure in _FIGURES]
    return [table for table in tables if table.rows]


def _figure_table(machines: Sequence[Machine], group: str, metric: str, words: str) -> Table:
    found = (r.case for machine in machines for r in machine.results.group(group))
    rows = []
    for case in dict.fromkeys(found):
        cells = [_cell(machine, case, metric, _version(machines, case)) for machine in machines]
        if any(cell.text != MISSING for cell in cells):
            parts = (label(part) for part in CaseName.parse(case).parts)
            rows.append((Cell(", ".join(parts)), *cells))
    columns = ("Case", *(machine.name for machine in machines))
    return Table(caption=words, columns=columns, rows=tuple(rows), labels=1)


def _version(machines: Sequence[Machine], case: str) -> int:
    records = (machine.results.record(case) for machine in machines)
    return max(record.case_version for record in records if record)


def _cell(machine: Machine, case: str, name: str, version: int) -> Cell:
    record = machine.results.record(case)
    if record is None:
        return Cell(MISSING, "not run")
    if record.case_version != version:
        return Cell(MISSING, f"version {record.case_version}")
    metric = record.metrics.get(name)
    if metric is None or metric.value is None:
        return Cell(MISSING, "not measured" if record.status == "ok" else record.status)
    remark = " open" if record.provenance.division == "open" else ""
    return Cell(quantity(metric.value, metric.unit), f"n = {metric.n}{remark}")


def _divisions(machine: Machine) -> str:
    found = {record.provenance.division for record in machine.results.by_case.values()}
    return " and ".join(sorted(found))
