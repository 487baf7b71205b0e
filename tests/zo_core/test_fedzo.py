"""FedZO's local steps against a slow reference, and its messages, which are FedAvg's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from parabola import DIM, Parabola, config, half_square, start

from zo_core.algorithms import build_algorithm
from zo_core.algorithms.baselines.fedzo import FedZO
from zo_core.algorithms.steps.local import step_items
from zo_core.directions import sphere, sphere_factor
from zo_core.federation import Replica
from zo_core.method import ClientData, RoundContext
from zo_core.payloads.core import DenseWeights
from zo_core.seeds import derive_seed
from zo_core.spsa import NonFiniteLossError

pytestmark = pytest.mark.usefixtures("one_torch_thread")

CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1), samples=(1, 3))


def fedzo(**changes: Any) -> FedZO:
    fields: dict[str, Any] = {"lr": 0.03, "server_lr": 1.0, "local_steps": 3, "directions": 2}
    fields |= {"epsilon": 1e-2, "tau": 1.0, "criterion": half_square}
    return FedZO(**{**fields, **changes})


def data(slot: int, items: int = 10) -> ClientData:
    x = np.random.default_rng(slot).normal(0.5, 0.1, (items, DIM)).astype(np.float32)
    return ClientData(slot=slot, x=torch.from_numpy(x), y=torch.zeros(items))


def slow_steps(method: FedZO, client: ClientData) -> npt.NDArray[np.float64]:
    """FedZO's own letters in float64: (d / (S mu)) (central difference) v on the unit sphere."""
    theta, mu = np.zeros(DIM), method.epsilon * math.sqrt(DIM)
    parts = step_items(
        len(client.x), method.local_steps, run_seed=1, round_index=4, client_id=client.slot
    )
    for step, items in enumerate(parts):
        x = client.x.numpy()[items].astype(np.float64)

        def loss(w: npt.NDArray[np.float64], x: npt.NDArray[np.float64] = x) -> float:
            return float(0.5 * np.square(w - x).sum(axis=1).mean())

        gradient = np.zeros(DIM)
        for s in range(method.directions):
            direction = step * method.directions + s
            seed = derive_seed(1, round_index=4, client_id=client.slot, direction=direction)
            z = sphere(seed, 0, DIM, factor=sphere_factor(seed, [DIM]))
            v = z / math.sqrt(DIM)
            assert math.isclose(float(v @ v), 1.0, rel_tol=1e-4)
            slope = (loss(theta + mu * v) - loss(theta - mu * v)) / 2.0
            gradient += DIM / (method.directions * mu) * slope * v
        theta = theta - method.lr * gradient
    return theta


@pytest.mark.parametrize("steps", [1, 3, 12])
def test_local_steps_are_the_papers(steps: int) -> None:
    method, client = fedzo(local_steps=steps), data(1)
    update = method.client_update(Replica(Parabola()), client, CONTEXT)
    assert isinstance(update, DenseWeights)
    assert (update.slot, update.samples) == (1, 10)
    expected = slow_steps(method, client)
    assert np.abs(expected).max() > 0.01
    assert np.allclose(update.values, expected, rtol=1e-3, atol=1e-4)


def test_the_estimate_is_the_gradient_on_average() -> None:
    """E[z z^T] = I on the sphere of norm sqrt(d): one step along many directions is one of SGD."""
    method, client = fedzo(local_steps=1, directions=1000, lr=1.0), data(0)
    update = method.client_update(Replica(Parabola()), client, CONTEXT)
    assert isinstance(update, DenseWeights)
    gradient = client.x.numpy().mean(axis=0)
    noise = np.linalg.norm(gradient) / math.sqrt(1000)  # of each element, about
    assert np.abs(update.values - gradient).max() < 5 * noise


def test_a_loss_that_is_not_finite_leaves_the_replica_as_it_was() -> None:
    replica = Replica(Parabola(0.3))
    before = replica.values().tobytes()
    bad = ClientData(slot=0, x=torch.full((2, DIM), math.inf), y=torch.zeros(2))
    with pytest.raises(NonFiniteLossError):
        fedzo().client_update(replica, bad, CONTEXT)
    assert replica.values().tobytes() == before


def test_its_links_carry_dense_weights_both_ways_to_and_from_the_cohort() -> None:
    run = start("fedzo", rounds=3)
    for record in run.rounds():
        assert record.per_client.up_scalars == record.per_client.down_scalars == 4 * DIM
        assert record.up_payload_bytes == record.per_client.up_payload * len(record.cohort)
        assert record.receivers == len(record.cohort) == 4


def test_it_is_plain_fp32_along_the_sphere_by_itself() -> None:
    (phase,) = build_algorithm(config("fedzo"), (0,)).phases
    assert phase.method.needs_grid is False
    assert phase.method.distribution == "sphere"  # type: ignore[attr-defined]
