"""(c) The two points of a two-sided estimate lie symmetrically about the start."""

from __future__ import annotations

from bench.audit.directions import Pair, displacements, norm, pairs
from bench.audit.evidence import Evidence
from bench.audit.finding import Finding, Rule
from bench.audit.weights import Weights, spacing

RULE = Rule(
    letter="c",
    check="two-sided points are symmetric about the start",
    why="the error of L(w + d) - L(w - d) is of second order only if both sides are equally far",
)
_LARGEST_ASYMMETRY = 0.05
_ROUNDINGS = 2.0  # spacings that writing a point and leaving it may cost


def check(evidence: Evidence) -> Finding:
    """Find the points' pairs and measure how far their middles are from the start.

    At rate 0, where it can be: of several estimates in a step, the later ones have their start
    where the earlier ones moved the weights.
    """
    still = evidence.still
    seen = still if still is not None and still.displaced else evidence.step
    if not evidence.first_case.two_sided:
        return RULE.not_applicable("declared: two_sided=False")
    if seen.hidden or not seen.displaced:
        return RULE.not_applicable("the perturbation is not written to the weights")
    found, alone = pairs(displacements(seen))
    if alone:
        count = len(seen.displaced)
        return RULE.judged(
            False,
            f"{alone} of {count} perturbed points have none opposite (two_sided=False if meant)",
            float(alone),
        )
    worst = max(found, key=lambda pair: pair.asymmetry)
    holds = all(_is_symmetric(pair, seen.start) for pair in found)
    figure = f"middle off the start by {worst.asymmetry:.2%} of the perturbation"
    return RULE.judged(holds, figure, worst.asymmetry)


def _is_symmetric(pair: Pair, start: Weights) -> bool:
    rounding = {name: spacing(value, value.dtype).flatten() for name, value in start.items()}
    allowed = _LARGEST_ASYMMETRY * pair.size + _ROUNDINGS * norm(rounding)
    return pair.asymmetry * pair.size <= allowed
