"""The README's results, written from the committed records: ``python -m bench.report.readme``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.format import MISSING, duration, percent, size
from bench.records.case_name import CaseName
from bench.records.frontier import panels_of, title_of
from bench.records.record_index import Results
from bench.records.step_memory import step_memory
from bench.records.store import RECORDS, read_records, replacing
from bench.report.table import count_range

BEGIN, END = "<!-- results -->", "<!-- /results -->"
_BATCH = 64
_ELSEWHERE = {  # groups whose figures have a page of their own
    "tables": (
        "The paper's tables and figures, as far as they are run: [findings](docs/findings.md)."
    ),
    "llm": (
        "Memory of a language model's step, what fits, bytes:"
        " [language models](docs/language-models.md)."
    ),
    "frontier": (
        "Memory, time, bytes and accuracy of every way to train ({panels}) are in the report;"
        " what these ways are: [baselines](docs/baselines.md)."
    ),
    "wire": "Bytes of a round on a real wire, a fleet of 200: [federation](docs/federation.md).",
}
_PACKAGING = CaseName.of("edge", "packaging")
_ROUND = (8, 900)  # images per micro-batch, images
_CLIENTS = {  # client -> its row's words, whose packages
    "onnx-memory": ("ZO by ONNX Runtime, without torch", "client"),
    "torch": ("ZO by torch", "torch"),
    "fedavg": ("FedAvg by torch", "torch"),
}
_EMULATED = "Emulated: bytes and bits are true, there is no time and no memory: [ARM](docs/arm.md)."
_METHODS = {"inference": "inference", "zo": "ZO step", "fedavg": "FedAvg step (backprop)"}


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
    """Write what one folder of records says, and where it stands."""
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
        f"[records]({link / RECORDS}), [report]({link / 'report.html'}).*"
    )
    return "\n".join([*lines, source, ""])


def _panels(results: Results) -> str:
    return "; ".join(map(title_of, panels_of(results)))


def _cost_lines(results: Results, link: Path) -> Iterator[str]:
    yield (
        f"The paper's ResNet18, one step at batch {_BATCH}, {step_memory(results).name} above the "
        "loaded model; bytes a client and round with S = 3 and a cohort of 10; medians:"
    )
    yield ""
    yield "| | peak memory | time | bytes up | bytes down |"
    yield "|---|---|---|---|---|"
    yield from (_cost_row(results, method) for method in _METHODS)
    yield ""
    yield f"![Peak memory by batch size]({link / 'plots' / 'memory-resnet18.png'})"
    yield ""


def _cost_row(results: Results, method: str) -> str:
    case = CaseName.memory("resnet18", method, _BATCH)
    memory = results.value(case, step_memory(results).above)
    step = results.value(CaseName.time("resnet18", method, _BATCH), "step")
    bytes_case = CaseName.bytes("resnet18", method)
    ways = (results.value(bytes_case, f"{way}_payload") for way in ("up", "down"))
    cells = [
        MISSING if memory is None else size(memory),
        MISSING if step is None else duration(step),
        *(MISSING if value is None else size(value) for value in ways),
    ]
    return f"| {_METHODS[method]} | {' | '.join(cells)} |"


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
            f"Test accuracy on the digits, 50 clients, Dirichlet 0.1, {count_range(rounds)} rounds "
            "in all for either:"
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
        "A low-resource client's whole process in a ZO round of ResNet18 (900 images by 8, S = 3),"
        " FedAvg's three epochs beside it; what its device has to hold and load:"
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
    yield "More on it: [a client without torch](docs/edge.md)."
    yield ""


if __name__ == "__main__":
    update(Path(__file__).parents[2])
