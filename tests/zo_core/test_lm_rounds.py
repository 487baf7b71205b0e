"""Federated rounds of a language model with tied weights: one digest on every replica."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from optional import needs

from zo_core.algorithms.baselines.fedkseed import FedKSeed
from zo_core.algorithms.baselines.fedkseed_pro import FedKSeedPro
from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
from zo_core.federation.rounds import run_round
from zo_core.method import ClientData, Method, RoundContext
from zo_core.models.lm import LMShape, build_lm
from zo_core.payloads.core import Payload
from zo_core.replica import Replica

pytestmark = needs("transformers")

SHAPE = LMShape(
    family="llama",
    width=16,
    layers=1,
    heads=2,
    mlp_width=24,
    vocabulary=31,
    positions=8,
    tied=True,
)
CONTEXT = RoundContext(run_seed=7, run_id=7, round_index=0, cohort=(0, 1, 2), samples=(4, 4, 4))
ZO = {"epsilon": 1e-3, "tau": 1.0, "lr": 0.02}
METHODS: list[Method] = [
    ZerothOrderStep(directions=2, **ZO),
    FedKSeed(candidates=16, directions=1, local_steps=4, **ZO),
    FedKSeedPro(candidates=16, directions=1, local_steps=4, **ZO),
]


def client(slot: int) -> ClientData:
    """Sequences that count upwards, from a start of the client's own."""
    ids = (torch.arange(9) + 3 * torch.arange(4)[:, None] + slot) % 31
    return ClientData(slot=slot, x=ids[:, :-1], y=ids[:, 1:])


def on_grid(run_seed: int = 1) -> Replica:
    replica = Replica(build_lm(SHAPE, run_seed=run_seed))
    replica.snap_()
    return replica


def contexts(rounds: int) -> list[RoundContext]:
    return [replace(CONTEXT, round_index=index) for index in range(rounds)]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_server_clients_and_late_joiners_hold_the_same_bits(
    method: Method, one_torch_thread: None
) -> None:
    server, follower, joiner = on_grid(), on_grid(), on_grid(run_seed=2)
    for context in contexts(5):
        done = run_round(method, server, client, context, roster_size=3)
        method.apply_(follower, Payload.decode(done.result.encode()), context)
        assert follower.digest() == server.digest()
        if context.round_index == 2:
            snapshot = server.snapshot(run_id=7, round_index=3)
            joiner.restore_(Payload.decode(snapshot.encode()))  # type: ignore[arg-type]
        elif context.round_index > 2:
            method.apply_(joiner, done.result, context)
    assert joiner.digest() == server.digest() != on_grid().digest()
    network = server.module.network
    assert network.get_output_embeddings().weight is network.get_input_embeddings().weight


def test_pro_draws_what_moved_more_often_and_all_alike_before_the_first_round() -> None:
    method = METHODS[2]
    assert isinstance(method, FedKSeedPro)
    replica = on_grid()
    assert np.array_equal(method.probabilities(replica), np.full(16, 1 / 16))
    for context in contexts(2):
        run_round(method, replica, client, context, roster_size=3)
    sums, counts = np.split(replica.shared_state.history, 2)  # type: ignore[union-attr]
    means = sums / np.maximum(counts, 1)
    chances = method.probabilities(replica)
    assert chances.sum() == pytest.approx(1.0)
    assert chances.max() / chances.min() == pytest.approx(np.e)  # scaled to [0, 1] before softmax
    assert np.array_equal(np.argsort(chances), np.argsort(means))
    many = replace(method, local_steps=20_000).choices(replica, CONTEXT, 0)
    shares = np.bincount(many.reshape(-1), minlength=16) / 20_000
    assert np.abs(shares - chances).max() < 0.01


def test_the_history_is_the_mean_move_of_each_candidate() -> None:
    method = METHODS[2]
    assert isinstance(method, FedKSeedPro)
    replica, pools = on_grid(), [np.zeros(16, np.float32)]
    for context in contexts(3):
        run_round(method, replica, client, context, roster_size=3)
        pools.append(method.pool(replica))
    moves = np.abs(np.diff(np.stack(pools), axis=0))
    sums, counts = np.split(replica.shared_state.history, 2)  # type: ignore[union-attr]
    np.testing.assert_allclose(sums, moves.sum(axis=0), rtol=1e-6)
    assert np.array_equal(counts, (moves > 0).sum(axis=0))
