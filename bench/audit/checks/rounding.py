"""(f) The perturbation is not lost to rounding."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bench.audit.directions import directions
from bench.audit.evidence import Evidence
from bench.audit.finding import Finding, Rule
from bench.audit.weights import Weights, rms, spacing

RULE = Rule(
    letter="f",
    check="the perturbation survives rounding",
    why="a weight that rounding leaves in place is not explored, but still moved by the update",
)
_LARGEST_SHARE = 0.1
_COARSE = 1 / 16  # of the perturbation; where numbers are this far apart, rounding may lose it


def check(evidence: Evidence) -> Finding:
    """Count the weights that did not move where their dtype is too coarse for the perturbation."""
    seen = evidence.step
    if seen.hidden:
        return RULE.not_applicable("the perturbation is not written to the weights")
    if not seen.displaced:
        return _without_points(evidence)
    perturbed = _farthest(directions(seen))
    lost = _lost(perturbed, seen.start)
    elements = sum(value.numel() for value in perturbed.values())
    share = sum(lost.values()) / elements
    worst = max(lost, key=lambda name: lost[name] / max(1, perturbed[name].numel()))
    figure = f"{share:.2%} of the weights keep their value"
    if lost[worst]:
        figure += f", most in {worst}: {lost[worst] / perturbed[worst].numel():.0%}"
    return RULE.judged(share <= _LARGEST_SHARE, figure, share)


def _without_points(evidence: Evidence) -> Finding:
    """Judge a step whose forwards all see the start: is the dtype to blame, or the method?

    Where the step moves the weights, its losses differ, so the method perturbs out of sight.
    """
    seen = evidence.step
    types = {value.dtype for value in seen.start.values()}
    if types & {torch.float16, torch.bfloat16} and seen.forwards and not seen.moves:
        return RULE.judged(False, "100.00% of the weights keep their value at every forward", 1.0)
    return RULE.not_applicable("the perturbation is not written to the weights")


def _farthest(found: Sequence[Weights]) -> dict[str, torch.Tensor]:
    """Return how far each weight moves at most: some methods perturb one block at a time."""
    return {name: torch.stack([d[name].abs() for d in found]).amax(dim=0) for name in found[0]}


def _lost(perturbed: Weights, start: Weights) -> dict[str, int]:
    """Count, per tensor, the weights in place where neighbouring numbers are far apart."""
    sizes = torch.tensor([rms(value) for value in perturbed.values()])
    typical = float(sizes[sizes > 0].median())
    return {
        name: int(((value == 0) & _coarse(start[name], max(typical, rms(value)))).sum())
        for name, value in perturbed.items()
    }


def _coarse(values: torch.Tensor, size: float) -> torch.Tensor:
    return spacing(values, values.dtype).flatten() > _COARSE * size
