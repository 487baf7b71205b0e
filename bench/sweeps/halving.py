"""Successive halving: many candidates for a few rounds, the best of them for more.

Jamieson, Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
AISTATS 2016, arXiv 1502.07943.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from bench.records.details.tables import Trial
from zo_core.philox import Purpose, random_permutation

Candidate = Mapping[str, float]  # config fields
Score = Callable[[Sequence[Candidate], int], Sequence[float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One level of a search: the best so many candidates of the level before, for some rounds."""

    candidates: int
    rounds: int


def halve(candidates: Sequence[Candidate], rungs: Sequence[Rung], score: Score) -> list[Trial]:
    """Search for the candidate with the highest score.

    Args:
        candidates: at most as many as the first rung takes; ties go to the earlier one.
        rungs: with ever fewer candidates and more rounds.
        score: gives the candidates' scores after so many rounds; None is worse than any score.

    Returns:
        All trials in order; the last rung's first is the best.

    >>> rungs = [Rung(candidates=3, rounds=1), Rung(candidates=1, rounds=3)]
    >>> halve([{"lr": 1.0}, {"lr": 2.0}], rungs, lambda tried, rounds: [c["lr"] for c in tried])[-1]
    Trial(rounds=3, fields={'lr': 2.0}, score=2.0)
    """
    trials: list[Trial] = []
    left = list(candidates)
    for rung in rungs:
        left = left[: rung.candidates]
        scores = score(left, rung.rounds)
        pairs = sorted(zip(scores, left, strict=True), key=lambda pair: _rank(pair[0]))
        trials += [Trial(rounds=rung.rounds, fields=c, score=s) for s, c in pairs]
        left = [candidate for _, candidate in pairs]
    return trials


def best_of(trials: Sequence[Trial]) -> Candidate:
    """Return the winner of a search.

    Raises:
        ValueError: every candidate of the last rung diverged.
    """
    first = next(t for t in trials if t.rounds == trials[-1].rounds)
    if first.score is None:
        raise ValueError("no candidate is left: every run of the last rung diverged or failed")
    return first.fields


def sample_grid(axes: Mapping[str, Sequence[float]], most: int, *, seed: int) -> list[Candidate]:
    """Draw candidates from a grid, in an order that the seed fixes; all where there are few.

    Args:
        axes: values by config field.
        most: number of candidates at most.
        seed: in [0, 2^64).
    """
    points: list[dict[str, Any]] = [
        dict(zip(axes, values, strict=True)) for values in product(*axes.values())
    ]
    order = random_permutation(seed, Purpose.SHUFFLE, len(points))
    return [points[index] for index in order[:most]]


def _rank(score: float | None) -> tuple[bool, float]:
    return score is None, -(score or 0.0)
