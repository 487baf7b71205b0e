"""One audit: gather the evidence, run every check."""

from __future__ import annotations

from bench.audit.case import Factory, load_factory, name_of
from bench.audit.checks import CHECKS
from bench.audit.evidence import Evidence
from bench.audit.finding import Report


def audit(factory: Factory | str, *, seed: int = 0, lr: float | None = None) -> Report:
    """Audit a zeroth-order step.

    Args:
        factory: ``factory(seed, lr)``, or its name "package.module:factory". It returns an
            AuditCase with a model of the same weights at each call. It is called about 20 times.
        seed: of the directions.
        lr: learning rate; None starts at 1e-3 and raises it until the update can be resolved.

    Returns:
        One finding per check.

    Raises:
        ValueError: the factory cannot be imported, or it, a step or a loss fails.
    """
    target = factory if isinstance(factory, str) else name_of(factory)
    made = load_factory(factory) if isinstance(factory, str) else factory
    evidence = Evidence(made, target, seed, lr)
    return Report(
        target=target or str(getattr(made, "__name__", type(made).__name__)),
        seed=seed,
        lr=evidence.lr,
        parameters=sum(value.numel() for value in evidence.step.start.values()),
        findings=tuple(check(evidence) for check in CHECKS),
    )
