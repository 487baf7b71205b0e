"""The answer as four tiles: memory, bytes, time and accuracy of ZO against backprop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.format import MISSING, format_comparison
from bench.labels import label
from bench.paper import BATCH, DIRECTIONS
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.report.bars import Bar, BarChart, empty_bar, metric_bar
from bench.report.costs import DOWN, ROUND, STEP, UP, Figure, memory_figures, pair_of, whole_figure
from bench.report.opponents import PLAIN, Opponents, opponents_of
from bench.report.tile_accuracy import accuracy_tile
from bench.report.tile_parts import Match, Tile

_OUT_OF_MEMORY = ("does not fit", "killed")
_SHORT = {"zo": "ZO", "fedavg": "Backprop"}  # in a tile; the variants are named in its note


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One bar of a tile before its axis is known."""

    name: str
    method: str
    metric: Metric | None
    reason: str  # why there is no value

    @property
    def is_result(self) -> bool:
        """Whether there is a value, or a lack of memory that says as much."""
        return self.metric is not None or self.reason in _OUT_OF_MEMORY


def answer_tiles(results: Results) -> list[Tile]:
    """Make the tiles for which there are records."""
    made = (_memory(results), _bytes(results), _time(results), accuracy_tile(results))
    return [tile for tile in made if tile is not None]


def _memory(results: Results) -> Tile | None:
    figure = whole_figure(results)
    found = _compared(results, figure)
    if found is None:
        return None
    matches, model, batch = found
    others = (pair_of(results, f, model, batch) for f in memory_figures(results) if f != figure)
    notes = (f"{_capital(p.figure.compared)}: {p.comparison} ({p.values})." for p in others if p)
    return Tile(
        title="Memory",
        what=f"{_capital(figure.compared)}; {label(model)}, batch {batch}",
        matches=matches,
        note=" ".join((*notes, _variants(results, model))).strip(),
    )


def _time(results: Results) -> Tile | None:
    found = _compared(results, ROUND) or _compared(results, STEP)
    if found is None:
        return None
    matches, model, batch = found
    step = pair_of(results, STEP, model, batch)
    note = (
        f"Per step ZO is {step.comparison} ({step.values}): a ZO step has {DIRECTIONS} directions."
        if step
        else ""
    )
    figure = ROUND if _compared(results, ROUND) else STEP
    return Tile(
        title="Time",
        what=f"{_capital(figure.name)}, {figure.compared.partition(' of ')[2]}; {label(model)},"
        f" batch {batch}",
        matches=matches,
        note=note,
    )


def _bytes(results: Results) -> Tile | None:
    models = results.models("bytes")
    if not models:
        return None
    rows = {
        name: _rows(results, figure, models[0], None, PLAIN)
        for name, figure in {"sent": UP, "received": DOWN}.items()
    }
    matches = _matches(UP, rows)
    if not matches:
        return None
    return Tile(
        title="Bytes",
        what=f"Payload per client per round; {label(models[0])}",
        matches=matches,
        note="ZO sends scalars; the directions follow from the run’s seed.",
    )


def _compared(results: Results, figure: Figure) -> tuple[tuple[Match, ...], str, int] | None:
    """Compare plain steps, then the most memory-efficient ones, of the first model."""
    for model in results.models(figure.group):
        for batch in figure.batches(results, model):
            plain = _rows(results, figure, model, batch, PLAIN)
            if batch is None or not all(row.is_result for row in plain):
                continue
            opponents = opponents_of(results, model) if batch == BATCH else [PLAIN]
            rows = {each.name: _rows(results, figure, model, batch, each) for each in opponents}
            if matches := _matches(figure, rows):
                return matches, model, batch
    return None


def _rows(
    results: Results, figure: Figure, model: str, batch: int | None, opponents: Opponents
) -> list[_Row]:
    return [
        _Row(
            name=_SHORT[kind],
            method=method,
            metric=figure.found(results, model, method, batch),
            reason=results.reason(figure.case(model, method, batch), figure.metric),
        )
        for kind, method in zip(_SHORT, opponents.methods, strict=True)
    ]


def _matches(figure: Figure, rows: dict[str, list[_Row]]) -> tuple[Match, ...]:
    """Draw all pairs of a tile on one axis; a pair without any value is left out."""
    pairs = {name: pair for name, pair in rows.items() if any(row.metric for row in pair)}
    values = [row.metric.value or 0.0 for pair in pairs.values() for row in pair if row.metric]
    end = max(values, default=1.0) or 1.0
    return tuple(
        Match(
            name=name,
            result=_result(figure, pair),
            chart=BarChart(caption="", bars=tuple(_bar(figure, row, end) for row in pair)),
        )
        for name, pair in pairs.items()
    )


def _bar(figure: Figure, row: _Row, end: float) -> Bar:
    if row.metric is None:
        return empty_bar(row.name, row.method, row.reason)
    return metric_bar(row.name, row.method, row.metric, figure.write, end)


def _result(figure: Figure, pair: Sequence[_Row]) -> str:
    """Compare ZO, the first row, with backprop, the second."""
    ours, theirs = (row.metric.value if row.metric else None for row in pair)
    if ours is None or theirs is None:
        return MISSING
    return format_comparison(ours, theirs, figure.less, figure.more)


def _variants(results: Results, model: str) -> str:
    others = [each for each in opponents_of(results, model) if each is not PLAIN]
    return "".join(
        f"{_capital(each.name)}: ZO with {_variant(each.zo)}; backprop with"
        f" {_variant(each.backprop)}."
        for each in others
    )


def _variant(method: str) -> str:
    """Write what a variant changes; its label names the plain step first."""
    return label(method).partition(", ")[2] or "the plain step"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
