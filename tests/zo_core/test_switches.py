"""Each switch works from config to weights where it means something, and is refused elsewhere."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from parabola import config, problem, start
from torch import nn

from zo_core.algorithms import ALGORITHMS, build_algorithm
from zo_core.algorithms.registry import SWITCHES
from zo_core.config import TrainConfig
from zo_core.federation import Replica
from zo_core.method import ClientData, RoundContext
from zo_core.payloads.core import Payload

pytestmark = pytest.mark.usefixtures("one_torch_thread")

PLAIN = {"zowarmup", "mezo", "mezo-single"}
STEPS = PLAIN | {"zowarmup-fedadam", "zowarmup-hi-lo", "zowarmup-elastic"}
ZEROTH_ORDER = STEPS | {"fedkseed", "zowarmup-fedkseed", "fedzo"}
FIRST_ORDER = set(ALGORITHMS) - {"mezo", "mezo-single", "fedkseed", "fedzo"}
# switch, what else it needs, the algorithms that it changes
TABLE: list[tuple[dict[str, Any], set[str]]] = [
    ({"distribution": "gaussian", "grid": False}, PLAIN),
    ({"distribution": "sphere", "grid": False}, PLAIN),
    ({"grid": False}, PLAIN),
    ({"average": "sum", "zo_server_lr": 0.01}, STEPS),
    ({"weighted": True}, STEPS - {"mezo-single"}),
    ({"literal_tau": False, "zo_server_lr": 0.1}, ZEROTH_ORDER),
    ({"local_steps": 3, "zo_server_lr": 1.0, "zo_client_lr": 0.02}, ZEROTH_ORDER),
    ({"estimator": "forward"}, ZEROTH_ORDER),
    ({"estimator": "fzoo", "zo_server_lr": 1e-6}, ZEROTH_ORDER),
    ({"zo_share": 0.3}, {"zowarmup-hi-lo"}),
    ({"candidates": 64, "zo_server_lr": 0.02}, {"fedkseed", "zowarmup-fedkseed"}),
    ({"backprop": "checkpointed"}, FIRST_ORDER),
    ({"uplink": "top-k"}, {"fedavg", "high-res-only"}),
    ({"uplink": "8-bit"}, {"fedavg", "high-res-only"}),
    ({"uplink": "1-bit"}, {"fedavg", "high-res-only"}),
    ({"trained": "last-2"}, {"zowarmup-elastic", "warmup-partial"}),
]
ROWS = [(name, changes) for changes, takers in TABLE for name in ALGORITHMS if name in takers]
REFUSED = [
    (name, changes) for changes, takers in TABLE for name in ALGORITHMS if name not in takers
]


def weights(name: str, **changes: Any) -> np.ndarray:
    return _weights(name, tuple(changes.items()))


@cache  # most rows of an algorithm are held against its defaults
def _weights(name: str, items: tuple[tuple[str, Any], ...]) -> np.ndarray:
    """The weights after 6 rounds, by way of a second replica that applies the results."""
    changes = dict(items)
    run, other = start(name, rounds=6, **changes), Replica(problem(name))
    for record in run.rounds():
        if run.snapshot is not None and run.snapshot.round_index == record.round_index:
            other.restore_(run.snapshot)
        result = Payload.decode(record.result.encode())
        run.method_at(record.round_index).apply_(other, result, run.context_of(record.round_index))
        if changes.get("grid", True):
            assert other.digest() == run.replica.digest()
    assert np.allclose(other.values(), run.replica.values(), rtol=0, atol=1e-5)
    return other.values()


@pytest.mark.parametrize(("name", "changes"), ROWS)
def test_a_switch_reaches_the_weights_and_every_replica(name: str, changes: dict[str, Any]) -> None:
    (switch, value), *rest = changes.items()
    if switch == "backprop":  # the same steps at less memory
        assert start(name, **changes).algorithm != start(name).algorithm
        return
    without = {} if switch in ("distribution", "grid") else dict(rest)
    assert not np.array_equal(weights(name, **changes), weights(name, **without))
    assert value != getattr(TrainConfig(), switch)


@pytest.mark.parametrize(("name", "changes"), REFUSED)
def test_a_switch_without_meaning_is_refused_by_name(name: str, changes: dict[str, Any]) -> None:
    given = {key for key, value in changes.items() if value != getattr(TrainConfig(), key)}
    with pytest.raises(ValueError, match=rf"must be .* for {name}.*got") as refused:
        build_algorithm(config(name, **changes), (0, 2))
    assert str(refused.value).split()[0] in given


def test_the_table_is_whole() -> None:
    assert set(SWITCHES) == {switch for changes, _ in TABLE for switch in changes} - {
        *("zo_server_lr", "zo_client_lr")
    }
    assert set(SWITCHES) <= {field.name for field in fields(TrainConfig)}


@pytest.mark.parametrize(
    "changes",
    [
        *({"directions": 1}, {"directions": 9}, {"tau": 0.25}, {"epsilon": 1e-2}),
        *({"zo_cohort": 6}, {"zo_cohort": 1}, {"warmup_cohort": 1}),
        *({"pivot": 0}, {"pivot": 6}, {"pivot": 4}),
        *({"client_lr": 0.01}, {"server_lr": 0.5}, {"zo_server_lr": 0.1}, {"local_epochs": 1}),
    ],
)
def test_a_number_reaches_the_weights(changes: dict[str, Any]) -> None:
    assert not np.array_equal(weights("zowarmup", **changes), weights("zowarmup"))


# --- norm layers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ZEROTH_ORDER))
@pytest.mark.parametrize("local_steps", [1, 2])
def test_running_statistics_are_untouched_by_zeroth_order_forwards(
    name: str, local_steps: int
) -> None:
    """GIVEN a network left in training mode, as a warm-up leaves it."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    replica = Replica(module.train())
    chosen = config(name, local_steps=local_steps, zo_client_lr=0.01)
    method = build_algorithm(chosen, (5,)).phases[-1].method
    if method.needs_grid:
        replica.snap_()
    module.train()
    before = [buffer.clone() for buffer in module.buffers()]
    context = RoundContext(run_seed=1, run_id=1, round_index=9, cohort=(0, 1), samples=(6, 6))
    updates = [
        method.client_update(
            replica,
            ClientData(slot=slot, x=torch.randn(6, 1, 4, 4), y=torch.tensor([0, 1, 2] * 2)),
            context,
        )
        for slot in (0, 1)
    ]
    method.server_result(replica, updates, context)
    assert all(torch.equal(a, b) for a, b in zip(before, module.buffers(), strict=True))
