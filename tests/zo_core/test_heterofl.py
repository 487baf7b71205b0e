"""HeteroFL: means over who trained a weight, masked labels, true bytes, a fixed total of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zo_core.algorithms import build_algorithm, train_config
from zo_core.algorithms.baselines.heterofl import HeteroFL, mask_absent, size_share
from zo_core.data import Dataset
from zo_core.data.synthetic import synthetic_blobs
from zo_core.federation import Replica, run_round
from zo_core.federation.simulation.training import Training
from zo_core.loss.module_loss import cross_entropy
from zo_core.method import ClientData, RoundContext
from zo_core.models import build_model, count_parameters
from zo_core.off_grid_checks import NonFiniteWeightsError
from zo_core.payloads.core import DenseWeights, Payload, SubModel

pytestmark = pytest.mark.usefixtures("one_torch_thread")

CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1, 2), samples=(8, 8, 8))


def heterofl(**changes: Any) -> HeteroFL:
    fields: dict[str, Any] = {"client_lr": 0.1, "server_lr": 1.0, "local_epochs": 1, "high": (0,)}
    return HeteroFL(**{**fields, "batch_size": 4, **changes})


def two_layers() -> Replica:
    """A (4, 2) and B (2, 4) with a bias (2,); 10 everywhere."""
    module = nn.Sequential(nn.Linear(2, 4, bias=False), nn.Linear(4, 2))
    for parameter in module.parameters():
        nn.init.constant_(parameter, 10.0)
    return Replica(module)


def update(slot: int, labels: list[bool], *tensors: list[Any]) -> SubModel:
    values = np.concatenate([np.array(t, np.float32).reshape(-1) for t in tensors])
    return SubModel(
        run_id=9, round_index=4, slot=slot, labels=np.array(labels, np.bool_), values=values
    )


WHOLE = update(
    0, [True, True], [[1, 2], [3, 4], [5, 6], [7, 8]], [[1, 2, 3, 4], [5, 6, 7, 8]], [1, 2]
)
FIRST_LABEL = update(1, [True, False], [[4, 5], [6, 7]], [[10, 20], [30, 40]], [7, 8])
SECOND_LABEL = update(2, [False, True], [[7, 8], [9, 10]], [[100, 200], [300, 400]], [30, 40])


def test_three_clients_by_hand() -> None:
    """A's first two rows have three trainers, its last two one; a row of B and its bias have the
    whole network's client and the one low client that has the row's label.
    """
    replica = two_layers()
    heterofl().server_result(replica, [WHOLE, FIRST_LABEL, SECOND_LABEL], CONTEXT)
    a, b, bias = replica.params.arrays
    assert a.tolist() == [[4, 5], [6, 7], [5, 6], [7, 8]]
    assert b.tolist() == [[5.5, 11, 3, 4], [152.5, 203, 7, 8]]
    assert bias.tolist() == [4, 21]


def test_what_nobody_trained_stays() -> None:
    replica = two_layers()
    heterofl().server_result(replica, [FIRST_LABEL], CONTEXT)
    a, b, bias = replica.params.arrays
    assert a.tolist() == [[4, 5], [6, 7], [10, 10], [10, 10]]
    assert b.tolist() == [[10, 20, 10, 10], [10, 10, 10, 10]]
    assert bias.tolist() == [7, 10]


def test_without_masks_every_row_counts() -> None:
    replica = two_layers()
    everyone = [replace(u, labels=np.empty(0, np.bool_)) for u in (FIRST_LABEL, SECOND_LABEL)]
    heterofl(masked=False).server_result(replica, everyone, CONTEXT)
    assert replica.params.arrays[2].tolist() == [18.5, 24]


def test_an_empty_round_changes_nothing_and_the_servers_rate_is_fedavgs() -> None:
    replica = two_layers()
    before = replica.digest()
    result, _ = heterofl().server_result(replica, [], CONTEXT)
    heterofl().apply_(replica, Payload.decode(result.encode()), CONTEXT)
    assert replica.digest() == before
    heterofl(server_lr=0.5).server_result(replica, [FIRST_LABEL], CONTEXT)
    assert replica.params.arrays[0].tolist() == [[7, 7.5], [8, 8.5], [10, 10], [10, 10]]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (replace(FIRST_LABEL, slot=0), "hold 18 scalars, got slot 0 with 10"),
        (replace(WHOLE, slot=2), "hold 10 scalars, got slot 2 with 18"),
        (replace(WHOLE, round_index=3), "round 4, got run 9, round 3"),
    ],
)
def test_an_update_of_another_width_or_round_is_refused(bad: SubModel, message: str) -> None:
    replica = two_layers()
    before = replica.digest()
    with pytest.raises(ValueError, match=message):
        heterofl().server_result(replica, [bad], CONTEXT)
    assert replica.digest() == before


def test_an_absent_labels_output_is_zero_in_the_loss() -> None:
    outputs = torch.tensor([[2.0, 1.0, 3.0]], requires_grad=True)
    labels = np.array([True, False, True])
    y = torch.tensor([2])
    loss = mask_absent(cross_entropy, labels)(outputs, y)
    expected = -3.0 + np.log(np.exp(2.0) + np.exp(0.0) + np.exp(3.0))
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    assert outputs.grad[0, 1].item() == 0.0
    assert (outputs.grad[0, ::2] != 0).all()


def network(norm: str = "batch", name: str = "small_resnet") -> Replica:
    return Replica(build_model(name, in_channels=3, image_size=8, norm=norm, run_seed=1))


def data(slot: int) -> ClientData:
    rng = np.random.default_rng(slot)
    x = torch.from_numpy(rng.normal(0, 1, (8, 3, 8, 8)).astype(np.float32))
    return ClientData(slot=slot, x=x, y=torch.tensor([slot, slot + 4] * 4))


@pytest.mark.parametrize("name", ["cnn", "small_resnet", "resnet18"])
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_a_client_trains_its_prefix_and_leaves_rows_of_absent_labels(name: str, norm: str) -> None:
    replica = network(norm, name)
    before = replica.values().tobytes()
    method = heterofl(client_lr=0.05)
    for slot, share in ((0, 1.0), (1, 0.5)):
        sent = method.client_update(replica, data(slot), CONTEXT)
        assert isinstance(sent, SubModel)
        half = build_model(name, in_channels=3, image_size=8, norm=norm, width=share, run_seed=1)
        assert sent.values.size == count_parameters(half)
        assert np.flatnonzero(sent.labels).tolist() == [slot, slot + 4]
        assert replica.values().tobytes() == before
        bias, own = sent.values[-10:], replica.params.arrays[-1].numpy()
        assert (bias != own).tolist() == sent.labels.tolist()


def test_bytes_are_those_of_each_clients_own_network() -> None:
    replica = network()
    record = run_round(heterofl(), replica, data, CONTEXT, roster_size=5)
    whole, half = (
        78_042,
        count_parameters(
            build_model("small_resnet", in_channels=3, image_size=8, width=0.5, run_seed=1)
        ),
    )
    assert record.per_client.up_scalars == record.per_client.down_scalars == 4 * whole
    heads = 4 + 28 + 2  # of the up-link, with a bitmap of ten labels
    assert record.up_payload_bytes == 4 * (whole + 2 * half) + 3 * heads
    assert record.down_payload_bytes == 4 * (whole + 2 * half) + 3 * 32
    assert record.receivers == 3
    low = heterofl().message_for(replica, record.result, 1)
    assert isinstance(low, DenseWeights)
    shape = tuple(replica.params.arrays[2].shape)
    assert low.values[: 8 * 3 * 9].reshape(8, 3, 3, 3).tolist() == (
        replica.params.arrays[0][:8].tolist()
    )
    assert shape == (16,)


def test_a_client_that_diverges_is_an_error_and_leaves_the_replica() -> None:
    replica = network()
    before = replica.values().tobytes()
    with pytest.raises(NonFiniteWeightsError, match="client 1's training"):
        heterofl(client_lr=1e38).client_update(replica, data(1), CONTEXT)
    assert replica.values().tobytes() == before


def test_there_are_fewer_rounds_the_more_clients_are_capable_for_the_same_bytes() -> None:
    rounds, cost = [], []
    half = 2_797_610 / 11_173_962  # half-width ResNet18 over the whole one
    for high in (5, 15, 25, 35, 45):
        config = train_config(algorithm="heterofl", model="resnet18", rounds=500)
        algorithm = build_algorithm(config, tuple(range(high)))
        rounds.append(algorithm.rounds)
        cost.append(algorithm.rounds * (high + (50 - high) * half) / 50)
    assert rounds == sorted(rounds, reverse=True)
    assert rounds[0] > 3 * rounds[-1] * 0.9
    assert all(499 < total <= 500 for total in cost)


def test_a_model_of_one_width_is_refused_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="LayerNorm cannot be narrowed"):
        build_algorithm(train_config(algorithm="heterofl", model="vit"), (0,))
    with pytest.raises(ValueError, match="unknown model 'x'; known: cnn"):
        build_algorithm(train_config(algorithm="heterofl", model="x"), (0,))


@pytest.fixture(scope="module")
def blobs() -> Dataset:
    return synthetic_blobs(train_items=600, test_items=200)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_a_whole_run_learns_and_is_the_same_again(blobs: Dataset, norm: str) -> None:
    config = train_config(
        algorithm="heterofl",
        dataset="synthetic",
        norm=norm,
        clients=6,
        high_share=0.5,
        alpha=1.0,
        rounds=4,
        pivot=1,
        warmup_cohort=3,
        eval_every=100,
    )
    records = [Training(config, blobs).run() for _ in range(2)]
    assert records[0].digest == records[1].digest
    assert records[0].final.test_accuracy > 0.5


@pytest.mark.parametrize("algorithm", ["heterofl", "fjord"])
def test_a_budget_is_in_bytes_rounds_or_item_passes(algorithm: str) -> None:
    """Four of ten clients are high-resource, cohorts of 5, 3 epochs: 45 passes an item and round;
    ZOWarmUp's warm-up has 4 clients, so 36, and its other rounds 10 clients with 6 forwards each.
    """
    fields: dict[str, Any] = {"rounds": 40, "pivot": 10, "clients": 10, "warmup_cohort": 5}
    high = (0, 1, 2, 3)

    def rounds(budget: str) -> int:
        config = train_config(algorithm, **fields, model="cnn", budget=budget)
        return build_algorithm(config, high).rounds

    by_hand = {"bytes": int(40 / ((4 + 6 * size_share("cnn")) / 10)), "rounds": 40}
    assert {name: rounds(name) for name in by_hand} == by_hand
    assert rounds("passes") == (10 * 36 + 30 * 60) // 45
    assert rounds("usual") == by_hand["bytes" if algorithm == "heterofl" else "rounds"]
