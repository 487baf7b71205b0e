"""Doing what a client's state machine asks for, for whatever transport drives it."""

from __future__ import annotations

from zo_core.federation.protocol.actions import Action, Compute
from zo_core.federation.protocol.client import Client


def compute_update(client: Client, order: Compute) -> list[Action]:
    """Compute a client's update and hand it back.

    The digest that the update carries is taken of the weights as they are in memory now: whatever
    wrote to them since the last round is noticed by the server, and no such scalar counts.  Losses
    or weights that are not finite make no update.
    """
    assert client.replica is not None  # joined before it is asked for work
    client.replica.invalidate_digest()
    try:
        update = client.trainer.update(order.context)
    except ArithmeticError:  # of the loss, the grid or the local training; the weights are restored
        update = None
    return client.computed(update)
