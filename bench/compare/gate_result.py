"""One figure before and after, judged by its threshold: the same, changed, better, or failing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from bench.compare.seeds import Seed
from bench.format import format_number, format_points
from bench.records.gates import Gate
from bench.records.paired import paired_bound
from bench.records.record import Metric

TENSOR_RATIO = 1.01
PROCESS_RATIO = 1.05
PROCESS_SLACK_BYTES = 256 * 1024  # in a small peak a few pages more or less decide
TIME_RATIO = 1.10
CONFIDENCE = 0.99  # one-sided, of time's ratio and of accuracy's difference
MIN_SAMPLES = 3  # for a bound
ACCURACY_LOSS = 0.01  # share; a smaller loss does not count, however significant
ACCURACY_LOSS_UNBOUNDED = 0.02  # where there are too few seeds for a bound


class State(Enum):
    """How a figure of NEW compares with OLD."""

    SAME = "same"  # equal; of a time, no significant difference
    CHANGED = "changed"  # by less than its threshold, or without one
    BETTER = "better"  # by more than its threshold
    FAILS = "fails"  # worse by more than its threshold
    SKIPPED = "not compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """The state of a figure, and the change or reason in a few words."""

    state: State
    why: str


def judge(
    gate: Gate,
    old: Metric,
    new: Metric,
    *,
    elsewhere: str | None = None,
    seeds: tuple[Sequence[Seed], Sequence[Seed]] = ((), ()),
) -> GateResult:
    """Judge a figure by its threshold.

    Args:
        gate: the kind of threshold.
        old: the figure of the baseline.
        new: the figure to judge; if it has no value and the threshold applies to OLD's, it fails.
        elsewhere: how the machines or ZO kernels differ; None if times can be compared.
        seeds: of the samples, before and after, or what else identifies them; for accuracy.
    """
    if gate is Gate.TIME and elsewhere is not None:
        return _skipped(elsewhere)
    if old.value is None:
        return _unknown_before(old, new)
    if new.value is None:
        state = State.SKIPPED if gate is Gate.NONE else State.FAILS
        return GateResult(state=state, why=f"not measured in NEW: {new.reason}")
    before, after = old.value, new.value
    slack = max(before * PROCESS_RATIO, before + PROCESS_SLACK_BYTES)
    by_gate: dict[Gate, Callable[[], GateResult]] = {
        Gate.EXACT: lambda: _exact(before, after),
        Gate.TENSOR: lambda: _within(before, after, before * TENSOR_RATIO, "1 %"),
        Gate.PROCESS: lambda: _within(before, after, slack, "5 % and 256 KiB"),
        Gate.TIME: lambda: _time(old, new),
        Gate.ACCURACY: lambda: _accuracy(old, new, *seeds),
        Gate.NONE: lambda: GateResult(state=_changed(before, after), why="no threshold"),
    }
    return by_gate[gate]()


def ratio_bound(old: Sequence[float], new: Sequence[float]) -> float | None:
    """Return the lower one-sided 99 % bound of new / old, the ratio of their geometric means.

    Welch's t on the logarithms, so that neither equal spreads nor a symmetric noise is assumed.

    Args:
        old: positive samples.
        new: positive samples.

    Returns:
        The bound; None for fewer than three samples on a side.
    """
    if min(len(old), len(new)) < MIN_SAMPLES:
        return None
    before, after = ([math.log(sample) for sample in samples] for samples in (old, new))
    difference = statistics.fmean(after) - statistics.fmean(before)
    parts = [statistics.variance(side) / len(side) for side in (before, after)]
    if sum(parts) == 0:
        return math.exp(difference)
    from scipy.stats import t

    sizes = (len(before), len(after))
    freedom = sum(parts) ** 2 / sum(p * p / (n - 1) for p, n in zip(parts, sizes, strict=True))
    return math.exp(difference - float(t.ppf(CONFIDENCE, freedom)) * math.sqrt(sum(parts)))


def _unknown_before(old: Metric, new: Metric) -> GateResult:
    if new.value is None:
        return GateResult(state=State.SAME, why="not measured on either side")
    return _skipped(f"not measured in OLD: {old.reason}")


def _skipped(why: str) -> GateResult:
    return GateResult(state=State.SKIPPED, why=why)


def _changed(old: float, new: float) -> State:
    return State.SAME if old == new else State.CHANGED


def _exact(old: float, new: float) -> GateResult:
    if old == new:
        return GateResult(state=State.SAME, why="equal")
    return GateResult(state=State.FAILS, why=f"must be equal, {_signed(new - old)}")


def _within(old: float, new: float, limit: float, words: str) -> GateResult:
    change = _signed(100 * (new - old) / old) + " %" if old else _signed(new - old)
    if new > limit:
        return GateResult(state=State.FAILS, why=f"{change}, more than {words}")
    if new < old - (limit - old):
        return GateResult(state=State.BETTER, why=change)
    return GateResult(state=_changed(old, new), why="equal" if old == new else change)


def _time(old: Metric, new: Metric) -> GateResult:
    if min(*old.samples, *new.samples) <= 0:
        return _skipped("a time of 0 has no ratio")
    change = f"ratio {format_number((new.value or 0.0) / (old.value or 1.0))}"
    bound, inverse = ratio_bound(old.samples, new.samples), ratio_bound(new.samples, old.samples)
    if bound is None or inverse is None:
        return GateResult(state=State.SAME, why=f"{change}, too few samples to decide")
    if bound > TIME_RATIO:
        return GateResult(state=State.FAILS, why=f"{change} (99 % bound: {format_number(bound)})")
    if inverse > TIME_RATIO:
        return GateResult(
            state=State.BETTER, why=f"{change} (99 % bound: {format_number(1 / inverse)})"
        )
    return GateResult(state=State.SAME, why=f"{change} (99 % bound: {format_number(bound)})")


def _accuracy(
    old: Metric, new: Metric, old_seeds: Sequence[Seed], new_seeds: Sequence[Seed]
) -> GateResult:
    sides = ((old_seeds, old), (new_seeds, new))
    if any(len(seeds) != metric.n for seeds, metric in sides):
        return _skipped("the record does not name its samples' seeds")
    before, after = (dict(zip(seeds, metric.samples, strict=True)) for seeds, metric in sides)
    differences = [after[seed] - before[seed] for seed in after if seed in before]
    if not differences:
        return _skipped("no seed in common")
    mean, pairs = statistics.fmean(differences), len(differences)
    change = f"{format_points(mean)} points over {pairs} pair{'s' if pairs > 1 else ''}"
    worst = paired_bound(differences, CONFIDENCE)
    if worst is None:  # one or two pairs: all must fall, and by more
        fails = mean <= -ACCURACY_LOSS_UNBOUNDED and max(differences) < 0
    else:
        fails = mean <= -ACCURACY_LOSS and worst < 0
        change += f", at most {format_points(worst)}"
    state = State.FAILS if fails else _changed(mean, 0.0)
    return GateResult(state=state, why=change)


def _signed(value: float) -> str:
    return f"{value:+.4g}".replace("-", "−")
