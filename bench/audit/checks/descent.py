"""(b) The step goes down."""

from __future__ import annotations

from bench.audit.directions import combined, directions, displacement, norm
from bench.audit.evidence import Evidence
from bench.audit.finding import Finding, Rule
from bench.audit.global_state import differences, generators
from bench.audit.losses import loss_at, loss_of
from bench.audit.observe import take_step
from bench.audit.weights import Weights, copy, read, rms, trainable

RULE = Rule(
    letter="b",
    check="the step descends",
    why="a sign error trains the model to be wrong, and a small learning rate hides it",
)
_SEEDS = 8
_CLEAR = -0.5  # of the score, which is -1 for descent only and 1 for ascent only
_RELATIVE_RADIUS = 1e-3  # of the probe, where the step's own perturbation is not known


def check(evidence: Evidence) -> Finding:
    """Compare the loss on both sides of the start along the updates of several seeds."""
    if evidence.first_case.loss is None:
        return RULE.not_applicable("the case has no loss")
    if _draws(evidence):
        return RULE.not_applicable("the loss draws random numbers (dropout?)")
    slopes = [_slope(evidence, evidence.seed + offset) for offset in range(_SEEDS)]
    known = [slope for slope in slopes if slope is not None]
    total = sum(abs(slope) for slope in known)
    if not total:
        return RULE.not_applicable("no step moved the weights by enough to change the loss")
    if total <= _noise(evidence) * len(known):
        return RULE.not_applicable("the loss is noisier than its change along the update")
    score = sum(known) / total
    down = sum(slope < 0 for slope in known)
    return RULE.judged(score <= _CLEAR, f"{down} of {len(known)} steps descend", score)


def _draws(evidence: Evidence) -> bool:
    """Whether one loss uses a global generator, so that no two are alike."""
    case, before = evidence.case(), generators()
    loss_of(case)
    return bool(differences(before, generators()))


def _slope(evidence: Evidence, seed: int) -> float | None:
    """Return L(w + s u) - L(w - s u) for the update u of one seed, None where nothing moved."""
    case = evidence.case(seed=seed)
    start = copy(trainable(case.module))
    take_step(case)
    update = displacement(copy(read(case.module, start)), start)
    size = norm(update)
    if not size:
        return None
    scale = _radius(evidence, start) / size
    ahead, behind = (_moved(start, update, side * scale) for side in (1.0, -1.0))
    return loss_at(case, ahead) - loss_at(case, behind)


def _radius(evidence: Evidence, start: Weights) -> float:
    spans = [] if evidence.step.hidden else directions(evidence.step)
    if spans:
        return norm(spans[0])
    elements = sum(value.numel() for value in start.values())
    largest = max(rms(value) for value in start.values())
    return float(_RELATIVE_RADIUS * largest * elements**0.5)


def _moved(start: Weights, update: Weights, scale: float) -> Weights:
    flat = {name: value.double().flatten() for name, value in start.items()}
    moved = combined(flat, update, scale, 1.0)
    return {name: moved[name].reshape(value.shape).to(value.dtype) for name, value in start.items()}


def _noise(evidence: Evidence) -> float:
    case = evidence.case()
    values = [loss_of(case) for _ in range(3)]
    return max(values) - min(values)
