"""(h) Tied and shared storage is perturbed once."""

from __future__ import annotations

from statistics import median

from bench.audit.directions import directions
from bench.audit.evidence import Evidence
from bench.audit.finding import Finding, Rule
from bench.audit.storage import overlapping
from bench.audit.weights import Weights, rms

RULE = Rule(
    letter="h",
    check="tied and shared weights are perturbed once",
    why="a weight listed twice gets two perturbations and two updates, so another rate",
)
_LEAST_ELEMENTS = 400
_LARGEST_RATIO = 1.25  # two independent perturbations make 1.41, the same twice 2
_EQUAL = 1.3  # how far apart the sizes in the other tensors may be


def check(evidence: Evidence) -> Finding:
    """Compare the size of the perturbation in shared tensors with that in the others."""
    seen, module = evidence.step, evidence.first_case.module
    shared = {name for group in overlapping(module) for name in group}
    if not shared:
        return RULE.not_applicable("no parameter is tied or shares storage")
    if seen.hidden or not seen.displaced:
        return RULE.not_applicable("the perturbation is not written to the weights")
    sizes = _sizes(directions(seen)[0])
    ours = [size for name, size in sizes.items() if name in shared]
    others = [size for name, size in sizes.items() if name not in shared]
    if not ours or not others:
        return RULE.not_applicable(f"too few tensors of {_LEAST_ELEMENTS} elements to compare")
    if max(others) > _EQUAL * min(others):
        return RULE.not_applicable("the perturbation's size differs from tensor to tensor")
    ratio = max(ours) / median(others)
    figure = f"perturbed {ratio:.2f} times as far as the other tensors"
    return RULE.judged(ratio <= _LARGEST_RATIO, figure, ratio)


def _sizes(perturbed: Weights) -> dict[str, float]:
    return {
        name: rms(value)
        for name, value in perturbed.items()
        if value.numel() >= _LEAST_ELEMENTS and float(value.norm())
    }
