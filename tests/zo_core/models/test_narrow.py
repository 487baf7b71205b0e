"""Sub-networks: prefixes of the whole one's weights, groups that nest, HeteroFL's norms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zo_core.models import build_model
from zo_core.models.narrow import narrow_tensors, narrowed
from zo_core.models.statistics import collect_statistics_

pytestmark = pytest.mark.usefixtures("one_torch_thread")

NAMES = ["cnn", "small_resnet", "resnet18"]


def whole(name: str, norm: str = "group", **changes: Any) -> nn.Module:
    fields: dict[str, Any] = {"in_channels": 3, "image_size": 8, "run_seed": 1, **changes}
    return build_model(name, norm=norm, **fields)


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("name", NAMES)
def test_a_sub_network_is_the_half_width_model_with_prefixes_for_weights(
    name: str, norm: str
) -> None:
    module = whole(name, norm)
    narrow, half = narrowed(module, 0.5), whole(name, norm, width=0.5)
    given = dict(module.named_parameters())
    for (key, ours), (_, built) in zip(
        narrow.named_parameters(), half.named_parameters(), strict=True
    ):
        assert ours.shape == built.shape
        assert torch.equal(ours, given[key][tuple(map(slice, ours.shape))])
    shapes = [tensor.shape for tensor in narrow_tensors(module, 0.5)]
    assert shapes == [tuple(p.shape) for p in narrow.parameters()]
    assert narrow(torch.ones(2, 3, 8, 8)).shape == (2, 10)
    if norm == "group":  # batch norm says that it keeps no statistics
        assert str(narrow) == str(half)


@pytest.mark.parametrize("name", NAMES)
def test_a_group_of_the_sub_network_is_a_group_of_the_whole_one(name: str) -> None:
    """GIVEN activations of the whole width, THEN their first half is normalised as if alone."""
    module = whole(name)
    pairs = zip(module.modules(), narrowed(module, 0.5).eval().modules(), strict=True)
    norms = [(a, b) for a, b in pairs if isinstance(a, nn.GroupNorm)]
    assert norms
    for full, half in norms:
        x = torch.randn(2, full.num_channels, 2, 2, generator=torch.Generator().manual_seed(0))
        assert torch.equal(full(x)[:, : half.num_channels], half(x[:, : half.num_channels]))


def test_training_a_sub_network_changes_nothing_of_the_whole_one() -> None:
    module = whole("cnn", "batch")
    before = [t.clone() for t in module.state_dict().values()]
    for width in (0.5, 1.0):
        narrow = narrowed(module, width).train()
        narrow(torch.randn(4, 3, 8, 8)).sum().backward()
        with torch.no_grad():
            for parameter in narrow.parameters():
                parameter.add_(1.0)
        assert not list(narrow.buffers())  # static batch norm
    assert all(torch.equal(a, b) for a, b in zip(before, module.state_dict().values(), strict=True))


def test_the_scaler_divides_what_a_norm_gets_by_the_width_in_training_alone() -> None:
    """A norm whose epsilon drowns the variance passes its centred input on, times a constant."""
    module = nn.Sequential(nn.Conv2d(1, 4, 1), nn.GroupNorm(2, 4, eps=1e12), nn.Conv2d(4, 2, 1))
    x = torch.randn(2, 1, 3, 3)
    for width, factor in ((0.5, 2.0), (1.0, 1.0)):
        stem = narrowed(module, width)[:2]  # type: ignore[index]
        still, training = stem.eval()(x), stem.train()(x)
        assert torch.allclose(training, factor * still, rtol=1e-5, atol=0)


def test_frozen_and_bare_parameters_stay_as_they_are() -> None:
    class Own(nn.Sequential):
        """A user's own class, with a parameter beside its layers."""

    module = Own(nn.Linear(2, 4), nn.Linear(4, 2))
    module.shift = nn.Parameter(torch.ones(3))
    module[0].weight.requires_grad_(False)
    narrow = narrowed(module, 0.5)
    assert [tuple(p.shape) for p in narrow.parameters()] == [(3,), (2, 2), (2,), (2, 2), (2,)]
    assert [t.shape for t in narrow_tensors(module, 0.5)] == [(3,), (2,), (2, 2), (2,)]
    assert [t.is_output for t in narrow_tensors(module, 0.5)] == [False, False, True, True]
    assert not narrow[0].weight.requires_grad  # type: ignore[index, union-attr]


@pytest.mark.parametrize(
    ("layers", "width", "message"),
    [
        ([nn.Linear(2, 4), nn.LayerNorm(4)], 0.5, "layer LayerNorm cannot be narrowed"),
        ([nn.Conv2d(4, 4, 1, groups=4)], 0.5, "layer Conv2d cannot be narrowed"),
        ([nn.GroupNorm(3, 6)], 0.5, "whole groups of 2 channels of GroupNorm's 3, got 0.5"),
        ([nn.Linear(2, 4)], 0.0, r"width must be in \(0, 1\], got 0.0"),
        ([nn.Linear(2, 4)], 1.5, r"width must be in \(0, 1\], got 1.5"),
    ],
)
def test_what_cannot_be_narrowed_is_an_error(
    layers: list[nn.Module], width: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        narrowed(nn.Sequential(*layers), width)


def test_statistics_are_the_mean_of_the_batches() -> None:
    module = nn.Sequential(nn.BatchNorm2d(2))
    batches = [torch.randn(n, 2, 3, 3) + n for n in (4, 5, 2)]
    for _ in range(2):  # collected anew each time
        collect_statistics_(module, batches)
    stack = [
        batch.numpy().astype(np.float64).transpose(1, 0, 2, 3).reshape(2, -1) for batch in batches
    ]
    mean = np.mean([values.mean(axis=1) for values in stack], axis=0)
    variance = np.mean([values.var(axis=1, ddof=1) for values in stack], axis=0)
    assert np.allclose(module[0].running_mean, mean, rtol=1e-5)
    assert np.allclose(module[0].running_var, variance, rtol=1e-5)
    assert module[0].momentum == 0.1


def test_without_batch_norm_no_batch_is_read() -> None:
    collect_statistics_(nn.Sequential(nn.GroupNorm(1, 2)), iter(()))
