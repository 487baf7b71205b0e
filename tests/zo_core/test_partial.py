"""Backprop through a part of the network: which part, what is sent, and what it holds."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from parabola import config, half_square, start
from torch import nn

from devices.tensor_memory import track_tensors
from zo_core.algorithms import build_algorithm, taken_by
from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
from zo_core.federation import ForkError, Replica
from zo_core.first_order.trainable_part import freeze_others, trained_tensors
from zo_core.method import ClientData, RoundContext
from zo_core.models import build_model
from zo_core.payloads.core import DenseWeights, ElasticUpdate
from zo_core.weight_grid import GridError

pytestmark = pytest.mark.usefixtures("one_torch_thread")
CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1), samples=(6, 6))
METHODS = ("warmup-partial", "zowarmup-elastic")


def cnn(norm: str = "group") -> nn.Module:
    return build_model("cnn", in_channels=1, image_size=8, norm=norm, run_seed=3)


def shard(slot: int = 0, items: int = 6) -> ClientData:
    generator = torch.Generator().manual_seed(slot)
    x = torch.randn(items, 1, 8, 8, generator=generator)
    return ClientData(slot=slot, x=x, y=torch.arange(items) % 10)


def method(name: str, **changes: Any) -> Any:
    fields = {**taken_by(name, {"trained": "last-1", "zo_server_lr": 0.01}), **changes}
    return build_algorithm(config(name, **fields), (0,)).phases[-1].method


def names(module: nn.Module, part: str) -> list[str]:
    every = [name for name, _ in module.named_parameters()]
    return [every[i] for i in trained_tensors(module, part)]


# --- which part ----------------------------------------------------------------------------------


def test_the_parts_of_the_cnn() -> None:
    """A convolution, a norm, a convolution, a norm, a linear layer."""
    module = cnn()
    assert names(module, "last-1") == ["7.weight", "7.bias"]
    assert names(module, "last-2") == ["3.weight", "4.weight", "4.bias", "7.weight", "7.bias"]
    assert names(module, "bias-norm") == ["1.weight", "1.bias", "4.weight", "4.bias", "7.bias"]
    assert len(names(module, "last-3")) == 8


def test_a_head_that_is_tied_to_the_embedding_is_trained_with_it() -> None:
    module = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 3), nn.Linear(3, 5, bias=False))
    module[2].weight = module[0].weight
    assert names(module, "last-1") == ["0.weight"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("last-4", "at most the 3 layers of Sequential .* got last-4"),
        ("last-0", "bias-norm or last-N with N >= 1, got 'last-0'"),
        ("head", "bias-norm or last-N"),
    ],
)
def test_a_part_that_is_not_there_is_refused(part: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trained_tensors(cnn(), part)


def test_a_config_knows_the_names_and_a_network_without_vectors_has_no_biases() -> None:
    with pytest.raises(ValueError, match="last-N"):
        config("warmup-partial", trained="last")
    with pytest.raises(ValueError, match="nothing to train by trained='bias-norm'"):
        trained_tensors(nn.Linear(2, 2, bias=False), "bias-norm")


def test_the_rest_is_frozen_within_the_context_alone() -> None:
    module = cnn()
    with freeze_others(module, (6, 7)):
        assert [p.requires_grad for p in module.parameters()] == [False] * 6 + [True] * 2
    assert all(p.requires_grad for p in module.parameters())


# --- by backprop alone ---------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["last-1", "last-2", "bias-norm"])
def test_the_part_takes_the_gradient_that_it_has_in_the_whole(part: str) -> None:
    """One step, against autograd of the whole network in evaluation mode."""
    replica, data = Replica(cnn()), shard()
    trainer = method("warmup-partial", trained=part, local_epochs=1, batch_size=6)
    update = trainer.client_update(replica, data, CONTEXT)
    assert isinstance(update, DenseWeights)
    nn.functional.cross_entropy(replica.module.eval()(data.x), data.y).backward()
    parameters = list(replica.module.parameters())
    expected = [
        (parameters[i] - 0.05 * parameters[i].grad).detach().flatten()  # type: ignore[operator]
        for i in trained_tensors(replica.module, part)
    ]
    assert np.allclose(update.values, torch.cat(expected).numpy(), atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_statistics_and_the_rest_stay_and_the_replica_is_as_it_was(name: str, norm: str) -> None:
    replica = Replica(cnn(norm).train())
    replica.hand_over_(run_id=9, round_index=4)
    before = [t.clone() for t in replica.module.state_dict().values()]
    trainer = method(name)
    updates = [trainer.client_update(replica, shard(slot), CONTEXT) for slot in (0, 1)]
    for a, b in zip(before, replica.module.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    trainer.server_result(replica, updates, CONTEXT)
    changed = {
        key
        for (key, value), old in zip(replica.module.state_dict().items(), before, strict=True)
        if not torch.equal(value, old)
    }
    weights = {key for key, _ in replica.module.named_parameters()}
    assert changed == ({"7.weight", "7.bias"} if name == "warmup-partial" else weights)


def peak(trainer: Any) -> int:
    replica, data = Replica(cnn()), shard(items=32)
    if trainer.needs_grid:
        replica.snap_()
    with track_tensors(
        parameters=replica.module.parameters(), existing=[data.x, data.y]
    ) as tracker:
        trainer.client_update(replica, data, CONTEXT)
    return tracker.result().peak_above_baseline_bytes


def test_the_fewer_layers_the_less_memory() -> None:
    found = [peak(method("warmup-partial", trained=f"last-{n}", batch_size=32)) for n in (1, 2, 3)]
    assert found == sorted(set(found))
    whole = method("fedavg", batch_size=32)
    assert found[0] < 0.6 * peak(whole)
    assert peak(method("warmup-partial", trained="bias-norm", batch_size=32)) < peak(whole)


# --- ElasticZO -----------------------------------------------------------------------------------


def whole_and_first_layers() -> tuple[Replica, Replica]:
    """The same network twice, on the grid; in the second the last layer is frozen."""
    replica = Replica(cnn())
    replica.snap_()
    alone = copy.deepcopy(replica.module)
    alone[7].requires_grad_(False)
    first = Replica(alone)
    first.snap_()
    return replica, first


def test_a_client_sends_zos_scalars_of_the_first_layers_and_fedavgs_weights_of_the_last() -> None:
    """The scalars are those of a model whose last layer is frozen."""
    replica, first = whole_and_first_layers()
    trainer = method("zowarmup-elastic")
    update = trainer.client_update(replica, shard(), CONTEXT)
    assert isinstance(update, ElasticUpdate)
    fields = ("directions", "epsilon", "tau", "lr")
    step = ZerothOrderStep(**{name: getattr(trainer, name) for name in fields})
    expected = step.client_update(first, shard(), CONTEXT)
    assert update.differences.tolist() == expected.differences.tolist()  # type: ignore[attr-defined]
    last = trainer.first_order.client_update(replica, shard(), CONTEXT)
    assert update.values.tolist() == last.values.tolist()
    assert update.differences.size + update.values.size == 3 + 1290


def test_the_mixed_step_is_zos_on_the_first_layers_and_the_mean_on_the_last() -> None:
    replica, first = whole_and_first_layers()
    trainer = method("zowarmup-elastic")
    updates = [trainer.client_update(replica, shard(slot), CONTEXT) for slot in (0, 1)]
    mean = np.mean([update.values for update in updates], axis=0, dtype=np.float64)
    fields = ("directions", "epsilon", "tau", "lr")
    step = ZerothOrderStep(**{name: getattr(trainer, name) for name in fields})
    expected = [step.client_update(first, shard(slot), CONTEXT) for slot in (0, 1)]
    step.server_result(first, expected, CONTEXT)
    trainer.server_result(replica, updates, CONTEXT)
    size = first.params.num_elements
    assert replica.values()[:size].tobytes() == first.values()[:size].tobytes()
    assert np.allclose(replica.values()[size:], mean, atol=2.0**-22)


def test_what_is_not_complete_or_of_other_weights_is_refused_and_nothing_changes() -> None:
    replica = start("zowarmup-elastic").replica
    replica.snap_()
    trainer = replace(method("zowarmup-elastic"), criterion=half_square)
    data = ClientData(slot=0, x=torch.ones(3, 12), y=torch.zeros(3))
    update = trainer.client_update(replica, data, CONTEXT)
    before = replica.digest()
    for change, error, message in (
        ({"values": update.values[1:]}, ValueError, "hold 4 scalars, got slot 0 with 3"),
        ({"differences": update.differences[1:]}, ValueError, "hold 3 scalars"),
        ({"slot": 5}, ValueError, "slot in the cohort"),
        ({"digest": b"12345678"}, ForkError, "slot 0 computed on weights"),
        ({"values": update.values + np.float32(1e30)}, GridError, "no weight has changed"),
        ({"differences": update.differences + np.float32(1e6)}, GridError, "no weight has changed"),
    ):
        with pytest.raises(error, match=message):
            trainer.server_result(replica, [replace(update, **change)], CONTEXT)
        replica.invalidate_digest()
        assert replica.digest() == before, message


def test_a_step_of_backprop_that_leaves_the_grid_takes_the_zo_step_back() -> None:
    replica = start("zowarmup-elastic").replica
    replica.snap_()
    trainer = replace(method("zowarmup-elastic"), criterion=half_square)
    data = ClientData(slot=0, x=torch.ones(3, 12), y=torch.zeros(3))
    update = trainer.client_update(replica, data, CONTEXT)
    before = replica.digest()
    near = replace(update, values=np.full(4, 1.99, np.float32))  # fits int32, leaves the grid
    with pytest.raises(GridError, match="no weight has changed"):
        trainer.server_result(replica, [near, replace(near, slot=1, samples=0)], CONTEXT)
    replica.invalidate_digest()
    assert replica.digest() == before


def test_forwards_must_have_something_left() -> None:
    replica = start("zowarmup-elastic").replica
    replica.snap_()
    with pytest.raises(ValueError, match="must leave some weights to forwards, got last-3"):
        method("zowarmup-elastic", trained="last-3").client_update(replica, shard(), CONTEXT)
    with pytest.raises(ValueError, match="grid must be left out for zowarmup-elastic"):
        method("zowarmup-elastic", grid=False)


def test_a_round_below_the_quorum_changes_nothing() -> None:
    replica = start("zowarmup-elastic").replica
    replica.snap_()
    before, trainer = replica.digest(), method("zowarmup-elastic")
    result, _ = trainer.server_result(replica, [], CONTEXT)
    trainer.apply_(replica, result, CONTEXT)
    replica.invalidate_digest()
    assert replica.digest() == before
