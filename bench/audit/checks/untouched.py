"""(i) A step changes the trainable weights and nothing else."""

from __future__ import annotations

from bench.audit.evidence import Evidence
from bench.audit.finding import Finding, Rule

RULE = Rule(
    letter="i",
    check="buffers, other parameters and global generators stay as they are",
    why="a step that seeds the global generator decides the data order and dropout of its caller",
)


def check(evidence: Evidence) -> Finding:
    """List what else differs after the step."""
    seen = evidence.step
    modes = [f"mode of {name or 'the module'}" for name in seen.modes]
    found = [*seen.generators, *seen.moved, *modes]
    if not found:
        return RULE.judged(True, "nothing else changed", 0)
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return RULE.judged(False, f"changed: {', '.join(found[:3])}{more}", float(len(found)))
