"""(l) Forwards compute in the precision of the weights."""

from __future__ import annotations

import torch

from bench.audit.evidence import Evidence
from bench.audit.finding import Finding, Rule

RULE = Rule(
    letter="l",
    check="forwards compute float32 weights in float32",
    why="TF32 and autocast round the losses, and dL is the small difference of two of them",
)
_FULL = {"float32 matmul precision": "highest"}


def check(evidence: Evidence) -> Finding:
    """Read the precision flags at each forward."""
    seen = evidence.step
    if not evidence.first_case.full_precision:
        return RULE.not_applicable("declared: full_precision=False")
    if not seen.forwards:
        return RULE.not_applicable("no forward of the module was seen")
    if all(value.dtype != torch.float32 for value in seen.start.values()):
        return RULE.not_applicable("no weight is float32")
    if seen.flags:
        return RULE.judged(False, f"the step leaves changed: {', '.join(seen.flags)}")
    reduced = {
        f"{name} {value}"
        for forward in seen.forwards
        for name, value in forward.flags.items()
        if _FULL.get(name) != value
    }
    if reduced:
        return RULE.judged(False, f"reduced by {', '.join(sorted(reduced))}")
    return RULE.judged(True, f"full in {len(seen.forwards)} forwards")
