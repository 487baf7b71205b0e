"""The README's results, written from the committed records by ``make docs``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.format import MISSING, duration, percent, size
from bench.labels import METHODS, label
from bench.paper import BATCH, CLIENT_IMAGES, COHORT, DIRECTIONS, is_zo
from bench.records.case_name import CaseName
from bench.records.frontier import panels_of, title_of
from bench.records.record_index import Results
from bench.records.step_memory import step_memory
from bench.records.store import RECORDS, read_records, replacing
from bench.report.costs import DOWN, ROUND, STEP, UP, Figure, memory_figure, whole_figure
from bench.report.opponents import opponents_of
from bench.report.pictures import FOLDER, PICTURES
from bench.report.table import count_range

BEGIN, END = "<!-- results -->", "<!-- /results -->"
_ELSEWHERE = {  # groups with a page of their own
    "tables": ("The paper's tables and figures, reproduced: [results](docs/paper-results.md)."),
    "llm": (
        "Language models: memory of a step, what fits, bytes:"
        " [language models](docs/language-models.md)."
    ),
    "frontier": (
        "The report compares memory, time, bytes and accuracy of all training methods ({panels});"
        " [baselines](docs/baselines.md) describes them."
    ),
    "wire": "Bytes of a round on a real wire, fleets of clients: [federation](docs/federation.md).",
}
_PICTURE = "memory-resnet18"
_PACKAGING = CaseName.of("edge", "packaging")
_ROUND = (8, 900)  # images per micro-batch, images
_CLIENTS = {  # client -> its row's name, its packages
    "onnx-memory": ("ZO with ONNX Runtime, without torch", "client"),
    "torch": ("ZO with torch", "torch"),
    "fedavg": ("FedAvg with torch", "torch"),
}
_EMULATED = (
    "Emulated: bytes and bits are valid, time and memory are not measured: [ARM](docs/arm.md)."
)


def reference_folders(results: Path) -> list[Path]:
    """List the folders below ``results`` that hold records, one for each device and scale."""
    return sorted(folder.parent for folder in results.glob(f"*/*/{RECORDS}"))


def results_section(repository: Path) -> str:
    """Write the README's results section from the records under ``results/``.

    Args:
        repository: the checkout's root.

    Returns:
        Markdown, markers included.
    """
    sections, heading = [BEGIN, "## Results", ""], ""
    for folder in reference_folders(repository / "results"):
        of_device = _device_heading(read_records(folder)[0].provenance.device)
        sections += [of_device] if of_device != heading else []
        heading = of_device
        sections.append(_folder_section(folder, folder.relative_to(repository)))
    return "\n".join([*sections, END])


def update(repository: Path) -> None:
    """Put the results section in the README's place for it."""
    readme = repository / "README.md"
    text = readme.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    with replacing(readme) as temporary:
        temporary.write_text(head + results_section(repository) + tail)


def _device_heading(device: Mapping[str, Any]) -> str:
    gib = f"{device['memory_bytes'] / 2**30:.0f} GiB"
    accelerator = device.get("accelerator")
    gpu = [accelerator["name"]] if accelerator else []
    parts = (device["soc"], f"{device['logical_cores']} cores", gib, *gpu, device["os"])
    return f"### {', '.join(parts)}\n"


def _folder_section(folder: Path, link: Path) -> str:
    """Write the results of one folder of records, and where to find them."""
    records = read_records(folder)
    results, made = Results.of(records), [record.provenance for record in records]
    lines: list[str] = []
    if made[0].device.get("emulator"):
        lines += [_EMULATED, ""]
    else:
        if results.group("memory"):
            lines += _cost_lines(results, link)
        lines += _accuracy_lines(results)
        lines += _client_lines(results)
        for group, words in _ELSEWHERE.items():
            lines += [words.format(panels=_panels(results)), ""] if results.group(group) else []
    scales = " and ".join(sorted({each.scale for each in made}))
    commits = sorted({str(each.commit)[:10] for each in made})
    source = (
        f"*{scales.capitalize()} scale, commit{'s' * (len(commits) > 1)} {', '.join(commits)}: "
        f"[records]({link / RECORDS}); `make pages` builds the report.*"
    )
    return "\n".join([*lines, source, ""])


def _panels(results: Results) -> str:
    return "; ".join(map(title_of, panels_of(results)))


def _cost_lines(results: Results, link: Path) -> Iterator[str]:
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
    if PICTURES[_PICTURE] == link:
        yield f"![Peak memory by batch size]({FOLDER / _PICTURE}.png)"
        yield ""


def _cost_row(results: Results, method: str) -> str:
    cells = []
    for figure in (whole_figure(results), memory_figure(results), STEP, ROUND, UP, DOWN):
        is_bytes = figure in (UP, DOWN)
        sender = ("zo" if is_zo(method) else "fedavg") if method != "inference" else method
        name, batch = (sender, None) if is_bytes else (method, BATCH)
        value = figure.value(results, "resnet18", name, batch)
        cells.append(MISSING if value is None else _amount(figure, value))
    return f"| {label(method)} | {' | '.join(cells)} |"


def _amount(figure: Figure, value: float) -> str:
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
                cells.append(f"{percent(metric.value)}{spread} (n = {metric.n})")
        rows.append(f"| {split.replace('-', '/')} | {' | '.join(cells)} |")
    if rows:
        yield (
            f"Test accuracy on the digits (known writers), 50 clients, Dirichlet 0.1, "
            f"{count_range(rounds)} rounds for both methods:"
        )
        yield ""
        yield "| high/low | High-Res-Only | ZOWarmUp |"
        yield "|---|---|---|"
        yield from rows
        yield ""


def _client_lines(results: Results) -> Iterator[str]:
    """Write what a client needs with torch and without it: memory of a round, packages, import."""
    rounds = {client: CaseName.edge("resnet18", client, *_ROUND) for client in _CLIENTS}
    if not any(map(results.record, rounds.values())):
        return
    yield (
        "A low-resource client's whole process in a ZO round of ResNet18 (900 images by 8, S = 3)"
        " and in FedAvg's three epochs, and what its device has to install and import:"
    )
    yield ""
    yield "| client | peak memory | packages on disk | import |"
    yield "|---|---|---|---|"
    for client, (words, packages) in _CLIENTS.items():
        peak = results.value(rounds[client], "process_peak")
        weight, load = (
            results.value(_PACKAGING, f"{packages}_{name}") for name in ("size", "import")
        )
        cells = (
            MISSING if peak is None else size(peak),
            MISSING if weight is None else size(weight),
            MISSING if load is None else duration(load),
        )
        yield f"| {words} | {' | '.join(cells)} |"
    yield ""
    yield "Details: [a client without torch](docs/edge.md)."
    yield ""


if __name__ == "__main__":
    update(Path(__file__).parents[2])
