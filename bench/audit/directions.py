"""The perturbations of a step, from the weights at its forwards, and their inner products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bench.audit.observe import Observation
from bench.audit.weights import Weights

OPPOSITE = -0.5  # the cosine below which two points count as a pair


def displacement(point: Weights, start: Weights) -> dict[str, torch.Tensor]:
    """Return point - start, exact in float64, each tensor flat."""
    return {name: (point[name].double() - start[name].double()).flatten() for name in start}


def inner(first: Weights, second: Weights) -> float:
    """Return the inner product over all tensors."""
    return sum(float(first[name] @ second[name]) for name in first)


def norm(vector: Weights) -> float:
    """Return the Euclidean norm over all tensors."""
    return math.sqrt(inner(vector, vector))


def combined(first: Weights, second: Weights, sign: float, scale: float) -> dict[str, torch.Tensor]:
    """Return scale (first + sign second)."""
    return {name: scale * (first[name] + sign * second[name]) for name in first}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two points on the two sides of the start."""

    direction: Weights  # half their difference
    size: float  # the direction's norm
    asymmetry: float  # how far their middle is from the start, in units of the size


def displacements(seen: Observation) -> list[dict[str, torch.Tensor]]:
    """Return the displacement of each point that is away from the start."""
    return [displacement(point, seen.start) for point in seen.displaced]


def pairs(points: Sequence[Weights]) -> tuple[list[Pair], int]:
    """Match displacements that lie on two sides of the start.

    Returns:
        The pairs, and the number of displacements without a partner.
    """
    left, found = list(range(len(points))), []
    gram = [[inner(a, b) for b in points] for a in points]
    while len(left) > 1:
        first = left.pop(0)
        second = min(left, key=lambda k: _cosine(gram, first, k))
        if _cosine(gram, first, second) < OPPOSITE:
            left.remove(second)
            found.append(_pair(points[first], points[second]))
    return found, len(points) - 2 * len(found)


def directions(seen: Observation) -> list[Weights]:
    """Return one perturbation per pair of points, and the displacement of each other point."""
    points = displacements(seen)
    found, alone = pairs(points)
    return [pair.direction for pair in found] if not alone else list(points)


def _pair(first: Weights, second: Weights) -> Pair:
    direction, middle = combined(first, second, -1.0, 0.5), combined(first, second, 1.0, 0.5)
    size = norm(direction)
    return Pair(direction=direction, size=size, asymmetry=norm(middle) / size)


def _cosine(gram: Sequence[Sequence[float]], i: int, j: int) -> float:
    return gram[i][j] / ((gram[i][i] * gram[j][j]) ** 0.5 or 1.0)
