"""Each option works from config to weights in every method that declares it."""

from __future__ import annotations

from dataclasses import Field
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from parabola import config, problem, start
from torch import nn

from zo_core.algorithms import ALGORITHMS, build_algorithm, taken_by
from zo_core.algorithms.steps.zo_client import LocalStepOptions
from zo_core.federation import Replica
from zo_core.method import ClientData, RoundContext
from zo_core.options import declared, option_of
from zo_core.payloads.core import Payload

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ZEROTH_ORDER = [n for n, row in ALGORITHMS.items() if issubclass(row.options, LocalStepOptions)]
# values of a switch, with what else they need
SWITCHED: list[dict[str, Any]] = [
    {"distribution": "gaussian", "grid": False},
    {"distribution": "sphere", "grid": False},
    {"grid": False},
    {"average": "sum", "zo_server_lr": 0.01},
    {"weighted": True, "zo_server_lr": 0.05},
    {"literal_tau": False, "zo_server_lr": 0.1},
    {"local_steps": 3, "zo_server_lr": 1.0, "zo_client_lr": 0.02},
    {"estimator": "forward"},
    {"estimator": "fzoo", "zo_server_lr": 1e-6},
    {"zo_share": 0.3},
    {"candidates": 64, "zo_server_lr": 0.02},
    {"trained": "last-2"},
    {"splits": 2},
    {"scalars": "float16"},
    {"scalars": "sign"},
    {"zo_schedule": "linear"},
    {"zo_schedule": "cosine"},
    {"zo_step_length": "adaptive"},
    {"second_moment": 0.9},
    {"clip_quantile": 0.5},
    {"tail": 3},
]


def own(algorithm: str) -> dict[str, Field[Any]]:
    return {field.name: field for field in declared(ALGORITHMS[algorithm].options)}


ROWS = [
    (name, taken_by(name, changes))
    for changes in SWITCHED
    for name in ALGORITHMS
    if next(iter(changes)) in own(name)
]
OPTIONS = [(name, option) for name in ALGORITHMS for option in own(name)]
NEEDS = {"distribution": {"grid": False}, "backprop": {"micro_batch": 8}}


def another(field: Field[Any]) -> Any:
    """Return an allowed value that is not the default."""
    if choices := option_of(field).choices:
        return next(choice for choice in choices if choice != field.default)
    if isinstance(field.default, bool):
        return not field.default
    if isinstance(field.default, str):
        return {"last-1": "last-2"}[field.default]
    if field.name == "tail":
        return 3
    tried = (0.5,) if field.default is None else (2 * field.default, field.default / 2)
    return next(value for value in tried if option_of(field).allows(value))


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
    switch, *rest = changes
    without = {} if switch == "distribution" else {key: changes[key] for key in rest}
    assert not np.array_equal(weights(name, **changes), weights(name, **without))


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_an_option_changes_the_algorithm_that_declares_it(name: str, option: str) -> None:
    changes = {option: another(own(name)[option]), **NEEDS.get(option, {})}
    assert start(name, **changes).algorithm != start(name).algorithm


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


@pytest.mark.parametrize("name", ZEROTH_ORDER)
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
