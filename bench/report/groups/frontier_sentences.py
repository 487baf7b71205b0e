"""What the frontier says, by the records alone: at which memory caps who is ahead, and by what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.format import duration, label, percent, size, times
from bench.records.frontier import (
    FAMILIES,
    TARGETS,
    Point,
    memory_steps,
    panels_of,
    points_of,
    title_of,
)
from bench.records.record_index import Results

LEFT_OUT, FORWARDS, BOTH, BACKPROP = FAMILIES
_BY = {
    LEFT_OUT: "without low-resource clients",
    FORWARDS: "by ZO",
    BOTH: "by ZO and backprop together",
    BACKPROP: "by backprop",
}


def frontier_sentences(results: Results) -> list[str]:
    """Say for each split where ZO is the only way, where backprop wins, and by how much in time."""
    return [
        f"At {title_of(panel)}: {_sentence(points_of(results, panel))}"
        for panel in panels_of(results)
    ]


def name_of(point: Point) -> str:
    """Write a point's variant, and the way of its steps where that is not the plain one."""
    variant = label(point.variant)
    return variant if point.way == "plain" else f"{variant} ({label(f'way-{point.way}')})"


def _sentence(found: Sequence[Point]) -> str:
    # who does both needs the memory for backprop
    of = {
        FORWARDS: [p for p in found if p.family == FORWARDS],
        BACKPROP: [p for p in found if p.family in (BOTH, BACKPROP)],
    }
    missing = [_BY[family] for family in (FORWARDS, BACKPROP) if not of[family]]
    if missing:
        return (
            f"no training in which low-resource clients take part {' or '.join(missing)} was run,"
            " so there is nothing to compare."
        )
    least = {family: min(points, key=lambda p: p.low_bytes) for family, points in of.items()}
    both = max(point.low_bytes for point in least.values())
    return " ".join([_only_way(least), _best_by_cap(found), _in_time(of, both)])


def _only_way(least: Mapping[str, Point]) -> str:
    forwards, backprop = least[FORWARDS].low_bytes, least[BACKPROP].low_bytes
    how = f"backprop at its most frugal ({name_of(least[BACKPROP])})"
    if forwards >= backprop:
        return (
            "there is no memory at which ZO is the only way to take a low-resource client along:"
            f" {how} peaks at {size(backprop)}, ZO at {size(forwards)}."
        )
    return (
        f"with {size(forwards)} or more, but less than {size(backprop)}, a low-resource client can"
        f" take part by ZO alone; from there on it can by {how} as well."
    )


def _best_by_cap(found: Sequence[Point]) -> str:
    """Say who ends best under each cap, at each rise in accuracy; of equals the lesser counts."""
    rises: list[tuple[float, Point]] = []
    for cap, best in memory_steps(found):
        if not rises or best.last.accuracy > rises[-1][1].last.accuracy:
            rises.append((cap, best))
    rounds = len({point.rounds for point in found}) > 1
    after = [cap for cap, _ in rises[1:]]
    parts = [
        f"{_from(cap, after)} {_BY[best.family]} ({name_of(best)}, {percent(best.last.accuracy)}"
        f"{f' after {best.rounds} rounds' if rounds else ''})"
        for cap, best in rises
    ]
    return f"The best accuracy is had {', '.join(parts)}."


def _from(cap: float, after: Sequence[float]) -> str:
    if cap:
        return f"from {size(cap)} on"
    return f"below {size(after[0])}" if after else "at any memory"


def _in_time(of: dict[str, list[Point]], cap: float) -> str:
    fastest = {
        target: tuple(_fastest(of[family], cap, target) for family in (FORWARDS, BACKPROP))
        for target in TARGETS
    }
    shared = [target for target, pair in fastest.items() if None not in pair]
    if not shared:
        reached = [t for t, pair in fastest.items() if pair != (None, None)]
        if not reached:
            return f"Neither reaches {percent(TARGETS[0])} within that memory."
        zo, _ = fastest[reached[0]]
        who, other = ("ZO", "backprop") if zo is not None else ("backprop", "ZO")
        return f"Only {who} reaches {percent(reached[0])} within that memory; {other} does not."
    target = shared[-1]
    return (
        f"To {percent(target)} the rounds take a client {_compared(fastest[target])} within"
        f" {size(cap)}, the least that admits both{_without_cap(of, target)}."
    )


def _without_cap(of: Mapping[str, Sequence[Point]], target: float) -> str:
    pair = tuple(_fastest(of[family], math.inf, target) for family in (FORWARDS, BACKPROP))
    return f", and {_compared(pair)} where memory is no matter"


def _compared(pair: tuple[float | None, ...]) -> str:
    zo, backprop = (seconds or 0.0 for seconds in pair)
    first, second = ("backprop", "ZO") if backprop < zo else ("ZO", "backprop")
    low, high = sorted((zo, backprop))
    longer = "" if low <= 0 else times(high / low)
    ratio = "" if longer in ("", "1.00") else f" ({longer} times as long)"
    return f"{duration(low)} by {first} and {duration(high)} by {second}{ratio}"


def _fastest(found: Sequence[Point], cap: float, target: float) -> float | None:
    reached = [p.reaches(target) for p in found if p.low_bytes <= cap]
    return min((moment.seconds for moment in reached if moment is not None), default=None)
