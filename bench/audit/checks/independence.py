"""(e) Different tensors have independent directions."""

from __future__ import annotations

from itertools import combinations

import torch

from bench.audit.directions import directions
from bench.audit.evidence import Evidence
from bench.audit.finding import Finding, Rule
from bench.audit.storage import overlapping

RULE = Rule(
    letter="e",
    check="tensors have independent directions",
    why="a generator seeded again for each tensor explores one small set of directions only",
)
_LEAST_ELEMENTS = 100
_MOST_ELEMENTS = 4096  # of each tensor that are compared
_SIGMAS = 7.0  # of a chance cosine, 1 / sqrt(n)


def check(evidence: Evidence) -> Finding:
    """Compare the first values of each two tensors' perturbations, whatever their shapes."""
    seen = evidence.step
    if seen.hidden or not seen.displaced:
        return RULE.not_applicable("the perturbation is not written to the weights")
    perturbed = directions(seen)[0]
    large = {
        name: value[:_MOST_ELEMENTS]
        for name, value in perturbed.items()
        if value.numel() >= _LEAST_ELEMENTS and float(value[:_MOST_ELEMENTS].norm())
    }
    again = [n for group in overlapping(evidence.first_case.module) for n in group[1:]]
    names = [name for name in large if name not in again]
    couples = [(_cosine(large[a], large[b]), a, b) for a, b in combinations(names, 2)]
    if not couples:
        return RULE.not_applicable(
            f"fewer than two perturbed tensors of {_LEAST_ELEMENTS} elements"
        )
    alike = [(a, b) for (cosine, limit), a, b in couples if cosine > limit]
    worst = max(cosine for (cosine, _), _, _ in couples)
    if alike:
        figure = f"cosine {worst:.2f}: {' and '.join(alike[0])} move alike ({len(alike)} couples)"
        return RULE.judged(False, figure, worst)
    return RULE.judged(True, f"cosine at most {worst:.2f} in {len(couples)} couples", worst)


def _cosine(first: torch.Tensor, second: torch.Tensor) -> tuple[float, float]:
    """Return the absolute cosine of the common length, and the most that chance explains."""
    length = min(len(first), len(second))
    a, b = first[:length], second[:length]
    size = float(a.norm() * b.norm()) or 1.0
    return abs(float(a @ b)) / size, min(0.95, _SIGMAS / length**0.5)
