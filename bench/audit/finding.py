"""What a check found, and the report of all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["pass", "fail", "not applicable"]
FORMAT = "zobench-audit/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Hold the outcome of one check.

    Args:
        letter: of the check, "a" to "l".
        check: the rule that holds, in a few words.
        outcome: a check that cannot be applied is never a pass.
        figure: what was measured, or why nothing was.
        value: the measured number, None where nothing was measured.
        why: why the rule matters, in one line.
    """

    letter: str
    check: str
    outcome: Outcome
    figure: str
    value: float | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Name a rule, and turn what was measured into findings."""

    letter: str
    check: str
    why: str

    def judged(self, holds: bool, figure: str, value: float | None = None) -> Finding:
        """Return a pass or a fail."""
        return self._found("pass" if holds else "fail", figure, value)

    def not_applicable(self, reason: str) -> Finding:
        """Return a finding without a verdict."""
        return self._found("not applicable", reason, None)

    def _found(self, outcome: Outcome, figure: str, value: float | None) -> Finding:
        return Finding(
            letter=self.letter,
            check=self.check,
            outcome=outcome,
            figure=figure,
            value=value,
            why=self.why,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Hold all findings of one audit.

    Args:
        target: the factory's name.
        seed: of the audited step.
        lr: learning rate of the audited step.
        parameters: trainable elements of the module.
        findings: one per check, in order.
    """

    target: str
    seed: int
    lr: float
    parameters: int
    findings: tuple[Finding, ...]

    @property
    def passes(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """Letters of the checks that failed."""
        return tuple(f.letter for f in self.findings if f.outcome == "fail")

    def finding(self, letter: str) -> Finding:
        """Return the finding of one check."""
        return next(f for f in self.findings if f.letter == letter)

    def summary(self) -> str:
        """Count the outcomes in one line.

        >>> Report(target="my:step", seed=0, lr=1.0, parameters=1, findings=()).summary()
        '0 pass, 0 fail, 0 not applicable'
        """
        outcomes = [f.outcome for f in self.findings]
        names: tuple[Outcome, ...] = ("pass", "fail", "not applicable")
        return ", ".join(f"{outcomes.count(name)} {name}" for name in names)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON data."""
        return {"format": FORMAT, "passes": self.passes, "failed": [*self.failed], **asdict(self)}
