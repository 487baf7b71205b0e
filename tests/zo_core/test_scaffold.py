"""SCAFFOLD: three clients by hand, and clients that agree need no correction."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from parabola import DIM, Parabola, half_square

from zo_core.algorithms.baselines.scaffold import Control, ControlledWeights, Scaffold, control_of
from zo_core.method import ClientData, RoundContext
from zo_core.payloads.core import Payload
from zo_core.replica import Replica

CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=0, cohort=(0, 1, 2), samples=(1, 1, 2))


def method(**changes: Any) -> Scaffold:
    fields: dict[str, Any] = {"client_lr": 0.5, "server_lr": 1.0, "local_epochs": 2}
    fields |= {"batch_size": 4, "clients": 6, "criterion": half_square}
    return Scaffold(**{**fields, **changes})


def at(slot: int, mean: float, items: int = 2) -> ClientData:
    return ClientData(slot=slot, x=torch.full((items, DIM), mean), y=torch.zeros(items))


def sent(slot: int, samples: int, weights: list[float], control: list[float]) -> ControlledWeights:
    return ControlledWeights(
        run_id=9,
        round_index=0,
        slot=slot,
        samples=samples,
        values=np.array(weights, np.float32),
        control=np.array(control, np.float32),
    )


def test_three_clients_by_hand() -> None:
    """Weights (1, 2), (2, 4), (6, 0): the plain mean (3, 2).  Changes of control 6, -3 and 9 of the
    first weight, over six clients: 12 / 6 = 2.
    """
    replica, other = (Replica([np.zeros(2, np.float32)]) for _ in range(2))
    updates = [sent(0, 1, [1, 2], [6, 0]), sent(1, 1, [2, 4], [-3, 0]), sent(2, 2, [6, 0], [9, 0])]
    result, _ = method().server_result(replica, updates, CONTEXT)
    assert replica.values().tolist() == [3.0, 2.0]
    assert control_of(replica.shared_state, 2).tolist() == [2.0, 0.0]
    method().apply_(other, Payload.decode(result.encode()), CONTEXT)
    assert other.digest() == replica.digest()


def test_a_client_by_hand() -> None:
    """From 0 towards 2 with c = 1 and c_i = 0: y = 0 - (0 - 2 + 1) / 2 = 0.5, then
    0.5 - (0.5 - 2 + 1) / 2 = 0.75.  Its control becomes 0 - 1 + (0 - 0.75) / (2 / 2) = -1.75.
    """
    replica = Replica(Parabola())
    replica.shared_state = Control(np.ones(DIM, np.float32))
    update = method().client_update(replica, at(1, 2.0), CONTEXT)
    assert isinstance(update, ControlledWeights)
    assert update.values.tolist() == [0.75] * DIM
    assert update.control.tolist() == [-1.75] * DIM
    assert control_of(replica.client_states[1], DIM).tolist() == [-1.75] * DIM
    assert replica.values().tolist() == [0.0] * DIM


def test_at_the_optimum_controlled_clients_stay_while_plain_ones_drift() -> None:
    """Two clients pull towards -1 and 1; with controls at their gradients, neither moves from 0."""
    replica = Replica(Parabola())
    for slot, mean in ((0, -1.0), (1, 1.0)):
        replica.client_states[slot] = Control(np.full(DIM, -mean, np.float32))
        update = method().client_update(replica, at(slot, mean), CONTEXT)
        assert isinstance(update, ControlledWeights)
        assert not update.values.any()
        assert not update.control.any()


def test_bytes_are_two_models_each_way_and_the_header() -> None:
    update = sent(0, 1, [1.0] * 5, [1.0] * 5)
    assert len(update.encode()) == update.num_bytes == 40 + 2 * 4 * 5
    assert update.scalar_bytes == 2 * 4 * 5
