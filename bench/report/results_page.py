"""The page of all committed results, docs/results.md: one section per machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.format import MISSING, format_bytes, format_percent, format_seconds
from bench.labels import METHODS, method_label
from bench.paper import BATCH, CLIENT_IMAGES, COHORT, DIRECTIONS, is_zo
from bench.records.case_name import CaseName
from bench.records.frontier import panels_of, title_of
from bench.records.record_index import Results
from bench.records.step_memory import step_memory
from bench.records.store import RECORDS, read_records
from bench.report.costs import DOWN, ROUND, STEP, UP, Figure, memory_figure, whole_figure
from bench.report.opponents import opponents_of
from bench.report.table import count_range
from bench.report.writers import CASE as WRITERS

PAGE = Path("docs") / "results.md"
_HEAD = """\
# Results

Generated from the records under `results/` by `make docs`; a test checks that it is current.
`make pages` builds the full report of every run.
"""
_ELSEWHERE = {  # groups with a page of their own
    "tables": "The paper's tables and figures: [the paper's claims, tested](paper-results.md).",
    "llm": "Memory, fit and bytes of language models: [language models](language-models.md).",
    "frontier": (
        "Memory, time, bytes and accuracy of all training methods ({panels}): in the report;"
        " [baselines](baselines.md) describes the methods."
    ),
    "fit": "Predicted peaks and trials under a limit: [what fits](fit.md#is-the-prediction-right).",
    "wire": "Bytes of a round on a real wire, and fleets of clients: [federation](federation.md).",
}
_WRITERS = "The digits by known and by unseen writers: [data sets](data.md#writers)."
_PACKAGING = CaseName.of("edge", "packaging")
_ROUND = (8, 900)  # images per micro-batch, images
_CLIENTS = {  # client -> its row's name, its packages
    "onnx-memory": ("ZO with ONNX Runtime, without torch", "client"),
    "torch": ("ZO with torch", "torch"),
    "fedavg": ("Backprop with torch", "torch"),
}
_EMULATED = (
    "Emulated: bytes and bits are valid, time and memory are not measured"
    " ([emulated ARM](boards/emulated-arm.md))."
)


def results_page(results: Path) -> str:
    """Write the page from the folder of committed records."""
    folders = [(folder, read_records(folder)) for folder in reference_folders(results)]
    folders.sort(key=lambda run: machine_name(run[1][0].provenance.device))
    parts = [_HEAD]
    for machine, runs in groupby(folders, lambda run: machine_name(run[1][0].provenance.device)):
        parts.append(f"## {machine}\n")
        for folder, records in runs:
            parts.append(f"### {folder.parent.name}/{folder.name}\n")
            lines = _run_lines(Results.of(records), records[0].provenance.device)
            parts += ["\n".join([*lines, _source(folder.relative_to(results))]) + "\n"]
    return "\n".join(parts)


def reference_folders(results: Path) -> list[Path]:
    """List the folders below ``results`` that hold records, one for each device and scale."""
    return sorted(folder.parent for folder in results.glob(f"*/*/{RECORDS}"))


def machine_name(device: Mapping[str, Any]) -> str:
    """Name a machine by processor, cores, memory and accelerator.

    >>> machine_name({"soc": "Example", "logical_cores": 4, "memory_bytes": 2 << 30})
    'Example, 4 cores, 2 GiB'
    """
    soc = str(device["soc"]).replace("(R)", "").removesuffix(" Processor")
    accelerator = device.get("accelerator")
    gpu = [str(accelerator["name"])] if accelerator else []
    gib = f"{device['memory_bytes'] / 2**30:.0f} GiB"
    return ", ".join([soc[:1].upper() + soc[1:], f"{device['logical_cores']} cores", gib, *gpu])


def _source(run: Path) -> str:
    return f"Records: [`results/{run}/{RECORDS}`](../results/{run}/{RECORDS})"


def _run_lines(results: Results, device: Mapping[str, Any]) -> Iterator[str]:
    if device.get("emulator"):
        yield from (_EMULATED, "")
        return
    if results.group("memory"):
        yield from _cost_lines(results)
    yield from _accuracy_lines(results)
    yield from _client_lines(results)
    panels = "; ".join(map(title_of, panels_of(results)))
    for group, words in _ELSEWHERE.items():
        if results.group(group) == [results.record(WRITERS)]:
            yield from (_WRITERS, "")
        elif results.group(group):
            yield from (words.format(panels=panels), "")


def _cost_lines(results: Results) -> Iterator[str]:
    memory = step_memory(results)
    yield (
        f"The paper's ResNet18 at batch {BATCH}: {memory.whole_name[0].lower()}"
        f"{memory.whole_name[1:]}, and {memory.name} above the loaded model; time of a step (with"
        f" ZO {DIRECTIONS} directions) and of a client's round over {CLIENT_IMAGES} images; bytes"
        f" per client per round with S = {DIRECTIONS} and a cohort of {COHORT}; medians:"
    )
    yield ""
    yield "| | whole process | above the model | step | round | bytes up | bytes down |"
    yield "|---|---|---|---|---|---|---|"
    least = [m for pair in opponents_of(results, "resnet18")[1:] for m in pair.methods]
    for method in dict.fromkeys((*METHODS, *least)):
        yield _cost_row(results, method)
    yield ""


def _cost_row(results: Results, method: str) -> str:
    cells = []
    for figure in (whole_figure(results), memory_figure(results), STEP, ROUND, UP, DOWN):
        is_bytes = figure in (UP, DOWN)
        sender = ("zo" if is_zo(method) else "fedavg") if method != "inference" else method
        name, batch = (sender, None) if is_bytes else (method, BATCH)
        cells.append(amount(figure, figure.value(results, "resnet18", name, batch)))
    return f"| {method_label(method)} | {' | '.join(cells)} |"


def amount(figure: Figure, value: float | None) -> str:
    """Write a figure's value; below the meter's resolution, that resolution as a bound."""
    if value is None:
        return MISSING
    if value < figure.resolution:
        return f"< {figure.write(figure.resolution)}"
    return figure.write(value)


def _accuracy_lines(results: Results) -> Iterator[str]:
    rows, rounds = [], set()
    for split in results.splits():
        cells = []
        for algorithm in ("high-res-only", "zowarmup"):
            case = CaseName.accuracy(algorithm, split)
            record, metric = results.record(case), results.metric(case, "test_accuracy")
            rounds |= {record.config["rounds"]} if record and metric is not None else set()
            if metric is None or metric.value is None:
                cells.append(MISSING)
            else:
                spread = "" if metric.std is None else f" ± {100 * metric.std:.1f}"
                cells.append(f"{format_percent(metric.value)}{spread} (n = {metric.n})")
        rows.append(f"| {split.replace('-', '/')} | {' | '.join(cells)} |")
    if rows:
        yield (
            f"Test accuracy on the digits, 50 clients, Dirichlet 0.1,"
            f" {count_range(rounds)} rounds for both methods:"
        )
        yield from ("", "| high/low | High-Res-Only | ZOWarmUp |", "|---|---|---|", *rows, "")


def _client_lines(results: Results) -> Iterator[str]:
    """Write what a client needs with torch and without it: memory of a round, packages, import."""
    rounds = {client: CaseName.edge("resnet18", client, *_ROUND) for client in _CLIENTS}
    if not any(map(results.record, rounds.values())):
        return
    yield (
        "A low-resource client's whole process in a ZO round of ResNet18 (900 images by 8, S = 3)"
        " and in backprop's three epochs, and what its device has to install and import"
        " ([a client without torch](edge.md)):"
    )
    yield from ("", "| client | peak memory | packages on disk | import |", "|---|---|---|---|")
    for client, (words, packages) in _CLIENTS.items():
        cells = (
            _written(results.value(rounds[client], "process_peak"), format_bytes),
            _written(results.value(_PACKAGING, f"{packages}_size"), format_bytes),
            _written(results.value(_PACKAGING, f"{packages}_import"), format_seconds),
        )
        yield f"| {words} | {' | '.join(cells)} |"
    yield ""


def _written(value: float | None, write: Callable[[float], str]) -> str:
    return MISSING if value is None else write(value)
