"""What each variant of training costs and reaches, as points: from records, and back to records.

A point is one training variant, its steps taken in one of their variants.  Its low memory is what
the clients with the least must have; they take no part where it is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from string import ascii_lowercase

from bench.records.budget import reference_rounds
from bench.records.case_name import CaseName
from bench.records.details.training import AccuracyDetails, ClientCost, CurvePoint, FrontierDetails
from bench.records.record import Record
from bench.records.record_index import Results

TARGETS = (0.5, 0.6, 0.7, 0.8, 0.9)  # test accuracies, fixed before anything was run
FAMILIES = ("left out", "forwards", "both", "backprop")  # what low-resource clients do


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanPoint:
    """One evaluation of a training, means over its seeds."""

    accuracy: float  # share of the test split
    bytes_a_client: float  # payload up and down so far, hand-over and catch-up included
    seconds: float  # rounds so far, each as long as its slowest client's work
    joules: float | None  # of one client that takes part in every round


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One training variant, its steps taken in one of their variants."""

    number: str  # in the table and on the charts: the variant's, and a letter for that of its steps
    case: str  # of the record that it stands in
    variant: str
    step_variant: str  # PLAIN, or a name in bench.step_variants
    family: str  # one of FAMILIES
    low_bytes: float  # peak of a low-resource client; 0: takes no part
    high_bytes: float  # of a high-resource client; 0: is none
    rounds: int  # of the run
    seeds: int
    moments: tuple[MeanPoint, ...]
    label: str | None = None  # of the variant; None in older records

    @property
    def last(self) -> MeanPoint:
        """The run's end."""
        return self.moments[-1]

    def reaches(self, target: float) -> MeanPoint | None:
        """Return the first evaluation at or above a target."""
        return next((m for m in self.moments if m.accuracy >= target), None)


def points_of(results: Results, panel: str) -> list[Point]:
    """List a panel's points that may be compared: the runs with enough rounds.

    They are sorted by the least memory of their method's variants.
    """
    return _numbered(results, [r for r in _of_panel(results, panel) if not _is_short(r, results)])


def short_runs(results: Results, panel: str) -> list[Point]:
    """List the points of a panel with fewer rounds than the others, which are not compared."""
    return _numbered(results, [r for r in _of_panel(results, panel) if _is_short(r, results)])


def _numbered(results: Results, chosen: list[Record]) -> list[Point]:
    chosen.sort(key=lambda r: (r.metrics["low_memory"].value or 0.0, r.case))
    variants: dict[str, list[Record]] = {}
    for record in chosen:
        variants.setdefault(record.config["variant"], []).append(record)
    return [
        _point(results, f"{number}{letter if len(alike) > 1 else ''}", record)
        for number, alike in enumerate(variants.values(), start=1)
        for letter, record in zip(ascii_lowercase, alike, strict=False)
    ]


def _of_panel(results: Results, panel: str) -> list[Record]:
    return [record for record in _joined(results) if record.name.panel == panel]


def _is_short(record: Record, results: Results) -> bool:
    rounds = {r.config["variant"]: _rounds(r) for r in _of_panel(results, record.name.panel)}
    return _rounds(record) < reference_rounds(rounds)


def _rounds(record: Record) -> int:
    details = record.details_as(FrontierDetails)
    return sum(details.phase_rounds) if details else 0


def panels_of(results: Results) -> list[str]:
    """List what has points of its own: splits of the digits, of other data sets."""
    return sorted({record.name.panel for record in _joined(results)})


def _joined(results: Results) -> list[Record]:
    """List the records whose training is known."""
    records = [r for r in results.group("frontier") if r.status == "ok"]
    return [record for record in records if moments_of(results, record)]


def title_of(panel: str) -> str:
    """Write a panel for people.

    >>> title_of("10-90"), title_of("fashion-mnist-10-90")
    ('10/90', 'Fashion-MNIST, 10/90')
    """
    *dataset, high, low = panel.rsplit("-", 2)
    names = {"fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
    return ", ".join([*(names[name] for name in dataset), f"{high}/{low}"])


def family_of(costs: Sequence[ClientCost]) -> str:
    """Name what low-resource clients do, from a client's costs of all phases."""
    low = [cost for cost in costs if cost.group == "low"]
    left_out, forwards, both, backprop = FAMILIES
    if not low:
        return left_out
    if not any(cost.backprop for cost in low):
        return forwards
    return both if any(cost.forwards for cost in low) else backprop


def best_under(points: Iterable[Point], cap: float) -> Point | None:
    """Return the point with the best final accuracy whose low memory a cap admits.

    Of equal accuracies (the same steps, taken in other variants) the faster counts.
    """
    fitting = [point for point in points if point.low_bytes <= cap]
    return max(fitting, key=lambda p: (p.last.accuracy, -p.last.seconds), default=None)


def memory_steps(points: Sequence[Point]) -> list[tuple[float, Point]]:
    """List each memory cap from which on another point is the best, ascending."""
    steps: list[tuple[float, Point]] = []
    for cap in sorted({point.low_bytes for point in points}):
        best = best_under(points, cap)
        if best is not None and (not steps or best.number != steps[-1][1].number):
            steps.append((cap, best))
    return steps


def byte_steps(points: Sequence[Point]) -> list[tuple[float, float, Point]]:
    """List each byte budget from which on a higher accuracy can be had: bytes, accuracy, point."""
    moments = [(m.bytes_a_client, m.accuracy, p) for p in points for m in p.moments]
    steps: list[tuple[float, float, Point]] = []
    for spent, accuracy, point in sorted(moments, key=lambda step: (step[0], -step[1])):
        if not steps or accuracy > steps[-1][1]:
            steps.append((spent, accuracy, point))
    return steps


def pareto(points: Sequence[Point], costs: Callable[[Point], tuple[float, ...]]) -> set[str]:
    """Number the points that no other is better than: less of each cost, and more accuracy."""

    def key(point: Point) -> tuple[float, ...]:
        return (*costs(point), -point.last.accuracy)

    def beaten(point: Point) -> bool:
        mine = key(point)
        return any(
            all(a <= b for a, b in zip(key(other), mine, strict=True)) and key(other) != mine
            for other in points
        )

    return {point.number for point in points if not beaten(point)}


def _point(results: Results, number: str, record: Record) -> Point:
    details = record.details_as(FrontierDetails)
    assert details is not None  # it has moments
    return Point(
        number=number,
        case=record.case,
        variant=record.config["variant"],
        step_variant=record.config["step_variant"],
        family=details.family,
        low_bytes=record.metrics["low_memory"].value or 0.0,
        high_bytes=record.metrics["high_memory"].value or 0.0,
        rounds=sum(details.phase_rounds),
        seeds=len(details.curves or _trained(results, record.name)),
        moments=moments_of(results, record),
        label=record.config.get("label"),
    )


def moments_of(results: Results, record: Record) -> tuple[MeanPoint, ...]:
    """Join a frontier record's costs with its own curves, or with the accuracy record's.

    Args:
        results: all records of the folder.
        record: of the group frontier.

    Returns:
        The moments in order of rounds; none where the folder has no training of the variant.
    """
    costs = record.details_as(FrontierDetails)
    if costs is None:
        return ()
    curves = costs.curves or _trained(results, record.name)
    return moments(
        curves,
        clients=record.config["clients"],
        phase_rounds=costs.phase_rounds,
        round_s=[slowest(costs.costs, phase) for phase in range(len(costs.phase_rounds))],
        round_joules=[most_joules(costs.costs, phase) for phase in range(len(costs.phase_rounds))],
    )


def moments(
    curves: Sequence[Sequence[CurvePoint]],
    *,
    clients: int,
    phase_rounds: Sequence[int],
    round_s: Sequence[float],
    round_joules: Sequence[float | None],
) -> tuple[MeanPoint, ...]:
    """Join a training's curves with the cost of its rounds.

    Args:
        curves: evaluations by seed.
        clients: of the training.
        phase_rounds: rounds of each phase.
        round_s: what a round of each phase takes its slowest client.
        round_joules: what it takes a client in joules; None where that is not known.

    Returns:
        One moment for each evaluation that all seeds have.
    """
    known = [joules for joules in round_joules if joules is not None]
    whole = len(known) == len(round_joules)
    return tuple(
        MeanPoint(
            accuracy=_mean([point.test_accuracy for point in column]),
            bytes_a_client=(
                _mean([p.up_payload_bytes for p in column])
                + _mean([p.down_payload_bytes for p in column])
            )
            / clients,
            seconds=_so_far(column[0].rounds_done, phase_rounds, round_s),
            joules=_so_far(column[0].rounds_done, phase_rounds, known) if whole else None,
        )
        for column in zip(*curves, strict=False)
    )


def slowest(costs: Sequence[ClientCost], phase: int) -> float:
    """Return the seconds of a phase's slowest client, each by the fastest of its repeats."""
    return max(min(cost.seconds) for cost in costs if cost.phase == phase)


def most_joules(costs: Sequence[ClientCost], phase: int) -> float | None:
    """Return the most joules that a phase's round takes a client; None where one is not known."""
    found = [cost.joules for cost in costs if cost.phase == phase]
    known = [joules for joules in found if joules is not None]
    return max(known) if len(known) == len(found) else None


def _trained(results: Results, name: CaseName) -> tuple[tuple[CurvePoint, ...], ...]:
    record = results.record(CaseName.accuracy(name.variant, name.panel))
    details = record.details_as(AccuracyDetails) if record and record.status == "ok" else None
    return details.curves if details else ()


def _so_far(rounds: int, phase_rounds: Sequence[int], each: Sequence[float]) -> float:
    starts = [0, *accumulate(phase_rounds)]
    return sum(
        cost * min(max(rounds - start, 0), length)
        for cost, start, length in zip(each, starts, phase_rounds, strict=False)
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
