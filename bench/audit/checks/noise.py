"""(g) The loss is a function of the weights."""

from __future__ import annotations

from collections.abc import Sequence

from bench.audit.directions import directions
from bench.audit.evidence import Evidence
from bench.audit.finding import Finding, Rule
from bench.audit.losses import loss_at, loss_of
from bench.audit.observe import Forward
from bench.audit.weights import changed, copy, untrained

RULE = Rule(
    letter="g",
    check="the loss has no noise of its own",
    why="dL is a small difference of two losses: dropout or batch statistics drown it",
)
_LARGEST_SHARE = 0.1  # of dL
_RELATIVE = 1e-6  # of L: the order in which threads add
_CALLS = 4


def check(evidence: Evidence) -> Finding:
    """Look for random numbers and moved statistics in forwards; evaluate the loss four times."""
    forwards = evidence.step.forwards
    moved = dict.fromkeys(name for forward in forwards for name in forward.moved)
    if moved:
        return RULE.judged(False, f"forwards change {_listed(list(moved))}")
    drawing = [f for f in forwards if f.generators_before != f.generators_after]
    if len(drawing) > 1:
        if not all(_has_a_partner(forward, drawing) for forward in drawing):
            return RULE.judged(False, "each forward draws new random numbers (dropout?)")
        return RULE.judged(True, "the forwards of a direction draw the same random numbers")
    if evidence.first_case.loss is None:
        return RULE.not_applicable("the case has no loss to evaluate twice")
    return _of_loss(evidence)


def _of_loss(evidence: Evidence) -> Finding:
    case = evidence.case()
    rest = copy(untrained(case.module))
    values = [loss_of(case) for _ in range(_CALLS)]
    moved = changed(rest, untrained(case.module))
    if moved:
        return RULE.judged(False, f"loss() changes {_listed(list(moved))}")
    spread = max(values) - min(values)
    difference = _difference(evidence)
    allowed = max(_LARGEST_SHARE * difference, _RELATIVE * abs(values[0]))
    figure = f"L varies by {spread:.1e} in {_CALLS} calls"
    return RULE.judged(spread <= allowed, f"{figure}; dL is {difference:.1e}", spread)


def _difference(evidence: Evidence) -> float:
    """Return |L(w + d) - L(w - d)| at the step's own points, 0 where they are not visible."""
    seen = evidence.step
    if seen.hidden or not directions(seen):
        return 0.0
    case = evidence.case()
    losses = [loss_at(case, point) for point in seen.displaced[:2]]
    return max(losses) - min(losses) if len(losses) > 1 else abs(losses[0] - loss_of(case))


def _has_a_partner(forward: Forward, drawing: Sequence[Forward]) -> bool:
    """Whether another forward draws from the same state, or seeds the generators alike."""
    others = [other for other in drawing if other is not forward]
    return any(
        other.generators_before == forward.generators_before
        or other.generators_after == forward.generators_after
        for other in others
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
