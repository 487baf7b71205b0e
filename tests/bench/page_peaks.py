"""Every "peak of the whole process" that a page writes, by step: to find two for one quantity.

``python tests/bench/page_peaks.py PAGE...`` lists the steps that have different figures.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

_EDGE = {"ZO, torch": "ZO", "Backprop, torch": "Backprop"}  # the clients that are also memory cases
_EDGE_TOLERANCE = 0.01  # these are other processes, which take the same step
_TILE = re.compile(r"whole process; (.+), batch (\d+)$")
_CHART = re.compile(r"^(.+), batch (\d+): peak of the whole process")
_BAR = re.compile(r"^(.+?): ([\d.,]+) MiB")


class Step(NamedTuple):
    """One step on one model."""

    model: str
    method: str
    images: str  # of its batch


class Peak(NamedTuple):
    """A step's peak as one place of the page writes it."""

    place: str
    mib: float


class _Tables(HTMLParser):
    """Collect a page's tables as rows of figures, by caption, and the bars below each caption."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[tuple[str, list[list[str]]]] = []
        self.bars: list[tuple[str, str]] = []  # what stands above, and what a bar says on hover
        self._above = self._within = ""
        self._is_detail = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "div" and "aria-label" in values:
            self.tables.append((values["aria-label"] or "", []))
        if tag == "tr" and self.tables:
            self.tables[-1][1].append([])
        self._is_detail = tag == "small"
        if tag in ("td", "th") and values.get("class") != "detail" and self.tables:
            self._within = "cell"
            self.tables[-1][1][-1].append("")
        if tag == "figcaption" or (tag == "p" and not values.get("class")):
            self._within, self._above = "above", ""
        if tag == "i" and "title" in values:
            self.bars.append((self._above.strip(), values["title"] or ""))

    def handle_endtag(self, tag: str) -> None:
        self._is_detail = self._is_detail and tag != "small"
        if tag in ("td", "th", "p", "figcaption"):
            self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "cell" and not self._is_detail:
            self.tables[-1][1][-1][-1] += data.strip()
        elif self._within == "above":
            self._above += data


def peaks_on(page: Path) -> dict[Step, list[Peak]]:
    """Collect the peaks of a page by step."""
    parser = _Tables()
    parser.feed(page.read_text(encoding="utf-8"))
    found: dict[Step, list[Peak]] = {}
    for step, peak in (*_in_tables(parser.tables), *_in_bars(parser.bars)):
        found.setdefault(step, []).append(peak)
    return found


def disagreeing(found: Mapping[Step, list[Peak]]) -> dict[Step, list[Peak]]:
    """List the steps with two different figures."""
    return {step: peaks for step, peaks in found.items() if not _agree(peaks)}


def _agree(peaks: list[Peak]) -> bool:
    own = {peak.mib for peak in peaks if peak.place != "edge"}
    every = [peak.mib for peak in peaks]
    return len(own) <= 1 and max(every) <= (1 + _EDGE_TOLERANCE) * min(every)


def _in_tables(tables: list[tuple[str, list[list[str]]]]) -> Iterator[tuple[Step, Peak]]:
    for caption, (head, *rows) in tables:
        for row in rows:
            cells = dict(zip(head, row, strict=False))
            for step, place, text in _of_row(caption, cells):
                if re.fullmatch(r"[\d.,]+", text):
                    yield step, Peak(place, float(text.replace(",", "")))


def _of_row(caption: str, cells: Mapping[str, str]) -> Iterator[tuple[Step, str, str]]:
    model = re.split(r"[.,] ", caption.removeprefix("Steps that need less memory, "))[0]
    if "Method, batch" in cells:
        method, batch = cells["Method, batch"].rsplit(", ", 1)
        yield Step(model, method, batch), "what fits", cells["Peak"]
    elif caption.startswith("Steps that need less memory"):
        batch = re.findall(r"batch (\d+)", caption)[0]
        yield Step(model, cells["Variant"], batch), "low memory", cells["Whole process, MiB"]
    elif caption.startswith("Peak of the whole process"):
        for method in ("Inference", "ZO", "Backprop"):
            yield Step(cells["Model"], method, cells["Batch"]), "memory", cells[method]
    elif cells.get("Client") in _EDGE and cells["Images"].isdecimal():
        step = Step(cells["Model"], _EDGE[cells["Client"]], cells["Images"])
        yield step, "edge", cells["Whole process"]


def _in_bars(bars: list[tuple[str, str]]) -> Iterator[tuple[Step, Peak]]:
    for above, words in bars:
        bar = _BAR.search(words)
        for place, pattern in {"answer": _TILE, "chart": _CHART}.items():
            if bar and (found := pattern.search(above)):
                step = Step(found[1], bar[1], found[2])
                yield step, Peak(place, float(bar[2].replace(",", "")))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for step, peaks in disagreeing(peaks_on(Path(name))).items():
            print(name, *step, *(f"{peak.place}: {peak.mib}" for peak in peaks), sep=", ")
