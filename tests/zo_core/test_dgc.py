"""DGC: three clients by hand, nothing lost, and the sparsity's warm-up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zo_core import cost_model
from zo_core.algorithms.baselines.dgc import DGC
from zo_core.method import RoundContext
from zo_core.payloads.core import DenseWeights, Payload, SparseChange
from zo_core.replica import Replica

LAWS = {"dgc_sparsity": 0.75}  # of 12 weights, 0.1 % would be one in every message
COHORT = RoundContext(
    run_seed=1, run_id=9, round_index=0, cohort=(0, 1, 2, 3), samples=(1, 1, 2, 9)
)


def method(**changes: Any) -> DGC:
    fields: dict[str, Any] = {"client_lr": 0.5, "server_lr": 1.0, "local_epochs": 1}
    fields |= {"batch_size": 4, "momentum": 0.5, "clip_norm": 100.0, "sparsity": 0.5}
    return DGC(**{**fields, "warmup_rounds": 0, **changes})


def trained(slot: int, samples: int, *buffers: float) -> DenseWeights:
    values = np.array([0.0, 0.0, *buffers], np.float32)
    return DenseWeights(run_id=9, round_index=0, slot=slot, samples=samples, values=values)


def two_weights() -> Replica:
    return Replica([np.zeros(2, np.float32)])


def test_three_clients_by_hand() -> None:
    """Each sends the larger of two weights.  (3, 1), (1, -2) and (4, 5), with 1, 1 and 2 items:
    (3 + 0 + 0) / 4 and (0 - 2 + 2 * 5) / 4.
    """
    replica = two_weights()
    changes = {0: [3.0, 1.0], 1: [1.0, -2.0], 2: [4.0, 5.0]}
    updates = [
        method().encoded_(replica, np.array(c, np.float32), trained(s, 1 + (s == 2)), COHORT)
        for s, c in changes.items()
    ]
    assert [u.positions.tolist() for u in updates] == [[0], [1], [1]]
    result, _ = method().server_result(replica, updates, COHORT)
    assert isinstance(result, DenseWeights)
    assert result.values.tolist() == replica.values().tolist() == [0.75, 2.0]


def test_momentum_correction_and_masking_by_hand() -> None:
    """Twice (4, 1): u = v = (4, 1), the first is sent and forgotten; then u = (4, 1.5) and
    v = (4, 2.5), and the first is sent again; then u = (4, 1.75), v = (4, 4.25): the second.
    """
    replica = two_weights()
    sent = [
        method().encoded_(replica, np.array([4.0, 1.0], np.float32), trained(0, 1), COHORT)
        for _ in range(3)
    ]
    assert [(u.positions.tolist(), u.values.tolist()) for u in sent] == [
        *(([0], [4.0]), ([0], [4.0])),
        ([1], [4.25]),
    ]
    kept = [array.tolist() for array in replica.client_states[0].arrays()]
    assert kept == [[4.0, 0.0], [4.0, 0.0]]


def test_a_change_is_clipped_by_the_root_of_the_cohort() -> None:
    """Four clients, limit 5: each may have a norm of 2.5, half of that of (3, 4)."""
    change = np.array([3.0, 4.0], np.float32)
    assert method(clip_norm=5.0).clipped(change, COHORT).tolist() == [1.5, 2.0]
    assert method(clip_norm=10.0).clipped(change, COHORT).tolist() == [3.0, 4.0]


def test_the_warm_up_is_the_papers() -> None:
    """75 %, 93.75 %, 98.4375 %, 99.6 % and then 99.9 % (Lin et al., section 3.3)."""
    found = [method(sparsity=0.999, warmup_rounds=4).sent_share(r) for r in range(6)]
    assert found == pytest.approx([0.25, 0.0625, 0.015625, 0.004, 0.001, 0.001], rel=0.02)


def test_nothing_is_lost_without_momentum() -> None:
    rng, replica = np.random.default_rng(1), Replica([np.zeros(200, np.float32)])
    chosen, total, arrived = method(momentum=0.0, sparsity=0.9), np.zeros(200), np.zeros(200)
    for _ in range(5):
        change = rng.normal(size=200).astype(np.float32)
        update = chosen.encoded_(replica, change, trained(1, 3), COHORT)
        total += change
        arrived += chosen.change_of(replica, update)
    assert np.allclose(arrived + replica.client_states[1].arrays()[1], total, atol=1e-5)


@pytest.mark.parametrize("size", [1, 8, 99, 1001])
def test_bytes_are_those_of_the_closed_form_and_the_header(size: int) -> None:
    replica = Replica([np.zeros(size, np.float32)])
    change = np.random.default_rng(size).normal(size=size).astype(np.float32)
    buffers = DenseWeights(
        run_id=9, round_index=0, slot=1, samples=5, values=np.append(change, np.ones(4)).astype("f")
    )
    update = method(sparsity=0.99).encoded_(replica, change, buffers, COHORT)
    body = update.encode()
    assert len(body) == 36 + 8 * -(-size // 100) + cost_model.comm_full(4)
    assert Payload.decode(body) == update
    assert method().client_state_bytes(replica) == replica.client_states[1].num_bytes


def test_a_change_of_another_model_is_refused() -> None:
    update = method().encoded_(two_weights(), np.ones(2, np.float32), trained(0, 1), COHORT)
    assert isinstance(update, SparseChange)
    with pytest.raises(ValueError, match="of 3 weights, got 2"):
        method().change_of(Replica([np.zeros(3, np.float32)]), update)
