"""What one check of the doctor found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Hold what one check found.

    Args:
        check: What was looked at.
        state: "ok", "advice" (figures suffer) or "problem" (something will not work).
        found: What is there.
        remedy: What to do; None where all is well.
    """

    check: str
    state: str
    found: str
    remedy: str | None

    @classmethod
    def of(cls, check: str, found: str, bad: str | None, remedy: str) -> Finding:
        """Make a finding with the state `bad`, or "ok" without a remedy where that is None."""
        return cls(check=check, state=bad or "ok", found=found, remedy=remedy if bad else None)
