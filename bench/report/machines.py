"""Several machines on one page: what each folder of records has, and the figures they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.format import MISSING, format_bytes, format_instant, format_quantity
from bench.labels import method_label
from bench.records.case_name import CaseName
from bench.records.record import Metric, Record
from bench.records.record_index import Results
from bench.records.step_memory import DEVICE, HOST
from bench.records.store import read_records
from bench.report.machine_name import machine_name
from bench.report.page import fill, require_extra, write_text
from bench.report.plots.machines import machine_charts
from bench.report.provenance import commit_words
from bench.report.table import Cell, Table, ratio

INDEX = "index.html"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One folder of records."""

    name: str  # as column_names has it
    results: Results
    page: str = ""  # its report, relative to the index

    @property
    def newest(self) -> Record:
        """The record that was made last."""
        records = self.results.by_case.values()
        return max(records, key=lambda record: record.provenance.created)

    @property
    def memory_bytes(self) -> int:
        """Its main memory; 0 where unknown."""
        return int(self.newest.provenance.device.get("memory_bytes") or 0)


def write_index(folders: Mapping[Path, Path], out: Path) -> Path:
    """Write the page that lists and compares several folders of records.

    Args:
        folders: output folders of the suite, each with its report's HTML file.
        out: the folder for the page.

    Returns:
        The HTML file.

    Raises:
        StoreError: a folder contains no records.
    """
    require_extra()
    machines = [
        Machine(
            name=name,
            results=Results.of(read_records(folder)),
            page=folders[folder].relative_to(out).as_posix(),
        )
        for name, folder in column_names(list(folders)).items()
    ]
    text = fill(
        "machines.html.jinja",
        count=len(machines),
        rows=[index_row(machine) for machine in machines],
        columns=_COLUMNS,
        charts=machine_charts({machine.name: machine.results for machine in machines}),
        tables=figure_tables(machines),
    )
    return write_text(out / INDEX, text)


def column_names(folders: Sequence[Path]) -> dict[str, Path]:
    """Name folders by their last two parts, as results/ is laid out; by more where two share them.

    Args:
        folders: a folder that is given twice is one.
    """
    paths = {folder.resolve(): folder for folder in folders}
    return {
        _shortest_name(path, [p for p in paths if p != path]): folder
        for path, folder in paths.items()
    }


def _shortest_name(path: Path, others: Sequence[Path]) -> str:
    for length in range(2, len(path.parts)):
        ending = path.parts[-length:]
        if all(other.parts[-length:] != ending for other in others):
            return "/".join(ending)
    return str(path)


_COLUMNS = (
    *("Records", "Machine", "Accelerator", "Memory", "System", "Scale", "Commit", "Created"),
    "Contents",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRow:
    """One line of the index: a cell per column, each with the number that it sorts by."""

    machine: Machine
    cells: tuple[tuple[str, float | str], ...]  # after the name


def index_row(machine: Machine) -> IndexRow:
    """Describe a folder: system, accelerator, scale, commit, and what it contains."""
    origin = machine.newest.provenance
    device = origin.device
    accelerator = (device.get("accelerator") or {}).get("name", MISSING)
    groups = dict.fromkeys(record.group for record in machine.results.by_case.values())
    memory = machine.memory_bytes
    texts = (
        *(machine_name(device), accelerator, format_bytes(memory) if memory else MISSING),
        *(str(device.get("os") or MISSING), _scale(machine), commit_words(origin)),
        *(format_instant(origin.created), ", ".join(groups)),
    )
    return IndexRow(
        machine=machine,
        cells=tuple((text, memory if index == 2 else text) for index, text in enumerate(texts)),
    )


def _scale(machine: Machine) -> str:
    found = {record.provenance.division for record in machine.results.by_case.values()}
    scale = machine.newest.provenance.scale
    return scale if found == {"closed"} else f"{scale}, {' and '.join(sorted(found))} division"


def figure_tables(machines: Sequence[Machine]) -> list[Table]:
    """Tabulate each figure that at least two machines have, with the ratio to the first."""
    tables = [_figure_table(machines, *figure) for figure in _FIGURES]
    return [table for table in tables if table.rows]


def _figure_table(machines: Sequence[Machine], group: str, metric: str, words: str) -> Table:
    cases = dict.fromkeys(r.case for machine in machines for r in machine.results.group(group))
    return Table(
        caption=words,
        columns=("Case", "Machine", "Value", "n", "Ratio to the first"),
        rows=tuple(row for case in cases for row in _rows(machines, case, metric)),
        folded=True,
    )


def _rows(machines: Sequence[Machine], case: str, name: str) -> list[tuple[Cell, ...]]:
    """Compare a case's newest version; machines with an older one are left out."""
    records = [(m, r) for m in machines if (r := m.results.record(case)) is not None]
    version = max(record.case_version for _, record in records)
    found = [
        (machine, record, metric)
        for machine, record in records
        if record.case_version == version and (metric := record.metrics.get(name)) is not None
        if metric.value is not None
    ]
    if len(found) < 2:
        return []
    words = ", ".join(map(_part_words, CaseName.parse(case).parts))
    first = found[0][2].value
    return [(Cell(words), *_cells(*each, first)) for each in found]


def _part_words(part: str) -> str:
    """Write one part of a case's name.

    >>> _part_words("fedavg"), _part_words("b64"), _part_words("resnet18")
    ('Backprop', 'batch 64', 'ResNet18')
    """
    is_batch = part.startswith("b") and part[1:].isdigit()
    return f"batch {part[1:]}" if is_batch else method_label(part)


def _cells(
    machine: Machine, record: Record, metric: Metric, first: float | None
) -> tuple[Cell, ...]:
    value = metric.value or 0.0
    remark = "open division" if record.provenance.division == "open" else ""
    return (
        Cell(machine.name, remark),
        Cell(format_quantity(value, metric.unit)),
        Cell(str(metric.n)),
        Cell(ratio(value, first)),
    )
