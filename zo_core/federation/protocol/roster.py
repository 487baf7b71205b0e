"""Who may have which slot of a run, and which program may bear a name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from zo_core.federation.protocol.inbox import Refused
from zo_core.federation.protocol.messages import ANY_SLOT, Hello, Reason
from zo_core.federation.protocol.plan import Plan

IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # fits a topic and a file's name
_MOST_DISPLACED = 2


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


class Names:
    """Which program bears each name: two of one name must not displace each other for ever.

    A broker gives a name's connection to whoever connects last, and the one before comes back.  So
    a program that was displaced twice and comes back is refused.
    """

    def __init__(self) -> None:
        self._bearer: dict[str, int] = {}  # identity -> instance
        self._displaced: Counter[tuple[str, int]] = Counter()

    def displaces(self, identity: str, instance: int) -> bool:
        """Note who says Hello; return whether another program bore the name until now.

        Raises:
            Refused: the program was displaced twice; the other keeps the name.
        """
        bearer = self._bearer.get(identity, instance)
        if instance in (0, bearer):
            self._bearer[identity] = instance
            return False
        if self._displaced[identity, instance] >= _MOST_DISPLACED:
            raise Refused(Reason.NAME_TAKEN)
        self._displaced[identity, bearer] += 1
        self._bearer[identity] = instance
        return True
