"""(d) With rate zero a step leaves the weights as they were."""

from __future__ import annotations

import torch

from bench.audit.directions import directions, displacement, norm
from bench.audit.evidence import Evidence
from bench.audit.finding import Finding, Rule
from bench.audit.observe import Observation
from bench.audit.weights import differing, rms, spacing

RULE = Rule(
    letter="d",
    check="a step at rate 0 restores the weights",
    why="what is not restored adds up, step by step, and replicas drift apart",
)
_ROUNDINGS_PER_POINT = 2.0
_NEGLIGIBLE = 1e-4  # of the perturbation: a first step may round the weights to a grid of its own
_LARGEST_SHARE = 0.1  # of the perturbation that rounding may leave behind


def check(evidence: Evidence) -> Finding:
    """Count the bits that differ after a step at rate 0; rounding alone is let pass."""
    seen = evidence.still
    if seen is None:
        return RULE.not_applicable("the implementation does not take the rate 0")
    elements = sum(value.numel() for value in seen.start.values())
    bits = sum(differing(seen.start[name], seen.end[name]) for name in seen.start)
    if not bits:
        return RULE.judged(
            True, f"all {elements:,} weights restored to the bit ({_types(seen)})", 0
        )
    drift, beyond = _drift(seen)
    figure = (
        f"{bits / elements:.1%} of the weights differ by up to {drift:.1e} ({_types(seen)}), "
        + (f"beyond rounding in {beyond}" if beyond else "by rounding")
    )
    share = _share_of_perturbation(seen)
    if share is not None and share > _LARGEST_SHARE:
        figure += f"; as much as {share:.0%} of the perturbation"
        return RULE.judged(False, figure, bits / elements)
    return RULE.judged(not beyond, figure, bits / elements)


def _types(seen: Observation) -> str:
    return ", ".join(sorted({str(v.dtype).removeprefix("torch.") for v in seen.start.values()}))


def _drift(seen: Observation) -> tuple[float, str]:
    """Return the largest drift, and the first tensor where rounding does not explain it."""
    largest, beyond, negligible = 0.0, "", _NEGLIGIBLE * _typical_perturbation(seen)
    for name, start in seen.start.items():
        apart = (seen.end[name].double() - start.double()).abs()
        largest = max(largest, float(apart.max()) if apart.numel() else 0.0)
        if not beyond and bool((apart > _explained(seen, name).clamp_min(negligible)).any()):
            beyond = name
    return largest, beyond


def _explained(seen: Observation, name: str) -> torch.Tensor:
    """Return by how much rounding may move each element."""
    reach = seen.start[name].abs()
    for point in seen.points:
        reach = torch.maximum(reach, point[name].abs())
    return _ROUNDINGS_PER_POINT * (1 + len(seen.points)) * spacing(reach, reach.dtype)


def _typical_perturbation(seen: Observation) -> float:
    """Return the root mean square of one perturbation, 0 where it is not visible."""
    if seen.hidden or not seen.displaced:
        return 0.0
    return rms(torch.cat(list(directions(seen)[0].values())))


def _share_of_perturbation(seen: Observation) -> float | None:
    """Return the drift's norm in units of one perturbation's; None where that is not visible."""
    if seen.hidden or not seen.displaced:
        return None
    return norm(displacement(seen.end, seen.start)) / norm(directions(seen)[0])
