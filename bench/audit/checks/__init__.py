"""The checks, one per file: each has ``check(evidence)``, which returns a finding."""

from __future__ import annotations

from collections.abc import Callable

from bench.audit.checks import (
    descent,
    independence,
    memory,
    noise,
    precision,
    repeat,
    restore,
    rounding,
    sharing,
    symmetry,
    untouched,
    update_direction,
)
from bench.audit.evidence import Evidence
from bench.audit.finding import Finding

CHECKS: tuple[Callable[[Evidence], Finding], ...] = (  # a to l
    update_direction.check,
    descent.check,
    symmetry.check,
    restore.check,
    independence.check,
    rounding.check,
    noise.check,
    sharing.check,
    untouched.check,
    repeat.check,
    memory.check,
    precision.check,
)
