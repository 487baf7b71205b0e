"""Audit a zeroth-order step from outside: does it do what its description says?

``audit(factory)`` runs twelve checks on any implementation. It reads nothing but the weights:
before a step, at each forward, and after it. ``factory(seed, lr)`` returns an :class:`AuditCase`.
"""

from __future__ import annotations

from bench.audit.case import AuditCase
from bench.audit.finding import Finding, Report
from bench.audit.run import audit

__all__ = ["AuditCase", "Finding", "Report", "audit"]
