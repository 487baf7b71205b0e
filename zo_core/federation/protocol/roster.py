"""Who may have which slot of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping

from zo_core.federation.protocol.messages import ANY_SLOT, Hello
from zo_core.federation.protocol.plan import Plan

IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # fits a topic and a file's name


def free_slot(plan: Plan, roster: Mapping[str, int], hello: Hello) -> int | None:
    """Choose a new client's slot: the one it asks for, else the lowest of its kind.

    A slot of the high-resource clients goes to one that can do backprop; such a client may have
    another when those are taken.

    Returns:
        None where no slot is left for it.
    """
    high, taken = set(plan.schedule.high), set(roster.values())
    suits = [
        slot
        for slot in range(plan.config.clients)
        if slot not in taken and (hello.high or slot not in high)
    ]
    if hello.slot != ANY_SLOT:
        return hello.slot if hello.slot in suits else None
    first = sorted(suits, key=lambda slot: (slot not in high, slot))
    return first[0] if first else None
