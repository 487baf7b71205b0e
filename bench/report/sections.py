"""The report's sections, in the page's order; each is defined in the file of its group.

To add a group, write ``groups/<group>.py`` with a ``SECTION`` and list it here.
"""

from __future__ import annotations

from bench.report.groups import (
    accuracy,
    bytes,
    edge,
    engine,
    fit,
    formulas,
    frontier,
    llm,
    memory,
    tables,
    time,
    train,
    wire,
)

_GROUPS = (
    *(tables, fit, memory, bytes, time, edge, accuracy),
    *(frontier, train, wire, llm, engine, formulas),
)
SECTIONS = tuple(group.SECTION for group in _GROUPS)
