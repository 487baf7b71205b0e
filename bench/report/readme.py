"""The generated blocks of README and docs/data.md, and docs/results.md, made by ``make docs``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.records.record import Record
from bench.records.store import RECORDS, read_records, replacing
from bench.report.first_screen import first_screen
from bench.report.results_page import PAGE, machine_name, results_page
from bench.report.writers import writers_table

RESULTS = "results"
DATA_PAGE = Path("docs") / "data.md"
_MEASURED = {  # group -> what its records hold
    "fit": "what fits in a device's memory",
    "memory": "memory of a step",
    "bytes": "bytes",
    "formulas": "the paper's formulas",
    "time": "time",
    "edge": "a client without torch",
    "engine": "the engine's passes",
    "accuracy": "accuracy on the digits",
    "frontier": "accuracy against memory, time and bytes",
    "llm": "language models",
    "wire": "bytes on a real wire",
    "tables": "tables of whole trainings",
}


def blocks(repository: Path) -> Mapping[str, str]:
    """Write the README's generated blocks, by name.

    Args:
        repository: the checkout's root.

    Returns:
        Markdown without the markers.
    """
    results = repository / RESULTS
    return {"costs": first_screen(results), "runs": "\n".join(_runs_table(results))}


def fill(text: str, generated: Mapping[str, str]) -> str:
    """Replace each block of a page.

    Args:
        text: the page, with a pair of markers for each block.
        generated: block name -> Markdown.

    Returns:
        The page.

    Raises:
        ValueError: a marker is missing.
    """
    for name, content in generated.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if begin not in text or end not in text:
            raise ValueError(f"the page must contain {begin} and {end}")
        head, rest = text.split(begin, 1)
        text = f"{head}{begin}\n{content}\n{end}{rest.split(end, 1)[1]}"
    return text


def update(repository: Path) -> None:
    """Write the README's blocks, the page of all results and the table of writers."""
    readme, data = repository / "README.md", repository / DATA_PAGE
    pages = {
        readme: fill(readme.read_text(), blocks(repository)),
        repository / PAGE: results_page(repository / RESULTS),
        data: fill(data.read_text(), {"writers": writers_table(repository / RESULTS)}),
    }
    for path, text in pages.items():
        with replacing(path) as temporary:
            temporary.write_text(text)


def _runs_table(results: Path) -> Iterator[str]:
    yield "| run | machine | scale | what was measured |"
    yield "|---|---|---|---|"
    for folder in sorted(path.parent for path in results.glob(f"*/*/{RECORDS}")):
        records = read_records(folder)
        name = folder.relative_to(results)
        scales = ", ".join(sorted({record.provenance.scale for record in records}))
        yield (
            f"| [{name}]({RESULTS}/{name}/{RECORDS}) | {_machine(records[0].provenance.device)}"
            f" | {scales} | {_measured(records)} |"
        )


def _machine(device: Mapping[str, Any]) -> str:
    emulator = " (bits and bytes only)" if device.get("emulator") else ""
    return machine_name(device) + emulator


def _measured(records: list[Record]) -> str:
    groups = {record.group for record in records}
    return ", ".join(words for group, words in _MEASURED.items() if group in groups)


if __name__ == "__main__":
    update(Path(__file__).parents[2])
