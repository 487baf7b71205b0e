"""The client's half that knows model and data."""

from __future__ import annotations

from typing import Protocol

from zo_core.federation.protocol.plan import Plan
from zo_core.method import RoundContext
from zo_core.payloads.core import Payload
from zo_core.replica import Replica


class Trainer(Protocol):
    """Builds a run's model, and computes updates on this device's data."""

    def join(self, plan: Plan, slot: int) -> Replica:
        """Build the model of a run and get the slot's data."""

    def update(self, context: RoundContext) -> Payload:
        """Compute what is sent of a round; the replica ends as it was."""
