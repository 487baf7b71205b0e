"""(a) The update lies along the perturbation, tensor by tensor."""

from __future__ import annotations

import torch

from bench.audit.directions import directions, displacement, inner
from bench.audit.evidence import Evidence, in_spacings
from bench.audit.finding import Finding, Rule
from bench.audit.observe import Observation
from bench.audit.weights import Weights

RULE = Rule(
    letter="a",
    check="the update lies along the perturbation, per tensor",
    why="a scalar measured along one direction says nothing about another: such an update is noise",
)
LEAST_COSINE = 0.95
_ELEMENTS_PER_DIRECTION = 16  # so that an unrelated update has a cosine of 0.25
_RESOLVED = 8.0  # spacings; below it rounding turns the cosine


def check(evidence: Evidence) -> Finding:
    """Compare each tensor's update with the span of its perturbations and of its own weights.

    The weights are in the span since weight decay moves along them.
    """
    seen = evidence.step
    if not evidence.first_case.plain_update:
        return RULE.not_applicable("declared: plain_update=False")
    if seen.hidden or not seen.displaced:
        return RULE.not_applicable("the perturbation is not written to the weights")
    if not seen.moves:
        return RULE.not_applicable("the step did not move the weights")
    cosines = cosines_of(seen)
    if not cosines:
        return RULE.not_applicable("no tensor is large enough, or the update is lost to rounding")
    return RULE.judged(*_verdict(cosines, seen))


def cosines_of(seen: Observation) -> dict[str, float]:
    """Return the cosine between update and span for each tensor that can be judged."""
    spans, update = directions(seen), displacement(seen.end, seen.start)
    found = {}
    for name, step in update.items():
        columns = [span[name] for span in spans if float(span[name].norm())]
        if columns and step.numel() >= _ELEMENTS_PER_DIRECTION * (len(columns) + 1):
            resolved = [in_spacings(c, seen.start[name]) for c in (*columns, step)]
            if min(resolved) >= _RESOLVED:
                found[name] = _cosine(step, [*columns, seen.start[name].double().flatten()])
    return found


def _verdict(cosines: dict[str, float], seen: Observation) -> tuple[bool, str, float]:
    worst = min(cosines, key=lambda name: cosines[name])
    value = cosines[worst]
    away = sum(cosine < LEAST_COSINE for cosine in cosines.values())
    signs = _signs(seen, cosines)
    figure = f"cosine at least {value:.3f} in {len(cosines)} tensors"
    if away:
        shape = "x".join(map(str, seen.start[worst].shape))
        figure = f"cosine {value:.3f} in {worst} ({shape}); {away} of {len(cosines)} tensors differ"
    elif signs == {-1, 1}:
        figure = "some tensors move along the perturbation, others against it"
    return not away and len(signs) < 2, figure, value


def _signs(seen: Observation, names: dict[str, float]) -> set[int]:
    """Return on which sides the tensors' updates lie; with many directions this has no meaning."""
    spans, update = directions(seen), displacement(seen.end, seen.start)
    if len(spans) != 1:
        return set()
    return {1 if inner_of(update, spans[0], name) > 0 else -1 for name in names}


def inner_of(first: Weights, second: Weights, name: str) -> float:
    """Return the inner product of one tensor."""
    return inner({name: first[name]}, {name: second[name]})


def _cosine(vector: torch.Tensor, columns: list[torch.Tensor]) -> float:
    """Return the cosine between a vector and its projection on the columns' span."""
    units = [column / column.norm() for column in columns if float(column.norm())]
    gram = torch.stack([torch.stack([a @ b for b in units]) for a in units])
    against = torch.stack([unit @ vector for unit in units])
    explained = against @ torch.linalg.pinv(gram, rtol=1e-9, hermitian=True) @ against
    return float((explained.clamp_min(0) / (vector @ vector)).sqrt())
