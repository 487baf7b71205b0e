"""Laws of the initial weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from zo_core.models import build_model, init_weights_
from zo_core.models.init import CHUNK
from zo_core.philox import Purpose, random_uniform


def _weights(name: str, run_seed: int) -> dict[str, torch.Tensor]:
    return build_model(name, in_channels=3, image_size=32, run_seed=run_seed).state_dict()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    first, again, other = (_weights("small_resnet", seed) for seed in (5, 5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])
    assert not torch.equal(first["linear.bias"], other["linear.bias"])


def test_building_leaves_torchs_generator_alone() -> None:
    before = torch.random.get_rng_state()
    build_model("cnn", in_channels=1, image_size=8, run_seed=0)
    assert torch.equal(before, torch.random.get_rng_state())


def test_elements_are_the_streams_words_across_chunks() -> None:
    layer = nn.Linear(2, CHUNK)  # two chunks of weights
    init_weights_(layer, 9)
    words = [random_uniform(9, Purpose.INITIAL_WEIGHTS, CHUNK, a=0, b=b) for b in (0, 1)]
    expected = ((2.0 * np.concatenate(words) - 1.0) / math.sqrt(2)).astype(np.float32)
    assert np.array_equal(layer.weight.detach().numpy().reshape(-1), expected)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Linear(300, 400), 300),
        (nn.Conv2d(32, 64, 3), 288),
        (nn.Conv2d(32, 64, 3, groups=4), 72),
    ],
)
def test_layers_are_uniform_within_their_fan_ins_bound(layer: nn.Module, fan_in: int) -> None:
    init_weights_(layer, 1)
    bound = 1.0 / math.sqrt(fan_in)
    weight, bias = layer.weight.detach(), layer.bias.detach()
    assert max(weight.abs().max(), bias.abs().max()) <= bound
    assert weight.abs().max() > 0.99 * bound
    tolerance = 5 / math.sqrt(weight.numel())  # five standard errors, in units of the deviation
    deviation = bound / math.sqrt(3)
    assert weight.std() == pytest.approx(deviation, rel=tolerance)
    assert abs(weight.mean()) < tolerance * deviation
    assert bias.std() == pytest.approx(deviation, rel=5 / math.sqrt(bias.numel()))


def test_norms_embeddings_and_bare_parameters_have_their_laws() -> None:
    vit = build_model("vit", in_channels=3, image_size=32, run_seed=2).requires_grad_(False)
    assert torch.equal(vit.encoder.ln.weight, torch.ones(512))
    assert torch.equal(vit.encoder.ln.bias, torch.zeros(512))
    assert vit.encoder.pos_embedding.std() == pytest.approx(0.02, rel=0.03)
    attention = vit.encoder.layers[0].self_attention
    assert attention.in_proj_weight.abs().max() <= 1 / math.sqrt(512)
    assert attention.in_proj_bias.std() == pytest.approx(1 / math.sqrt(3 * 512), rel=0.1)
    embedding = nn.Embedding(1000, 50).requires_grad_(False)
    init_weights_(embedding, 2)
    assert embedding.weight.std() == pytest.approx(0.02, rel=0.03)


def test_a_tied_parameter_is_filled_once_and_takes_one_number() -> None:
    tied = nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 6, bias=False), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    untied = nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 4))
    for module in (tied, untied):
        init_weights_(module, 4)
    assert torch.equal(tied[1].weight, untied[0].weight)
    assert torch.equal(tied[2].weight, untied[1].weight)


def test_layout_and_dtype_change_no_value() -> None:
    plain, strided, double = (nn.Conv2d(8, 8, 3) for _ in range(3))
    strided.to(memory_format=torch.channels_last)
    double.double()
    for module in (plain, strided, double):
        init_weights_(module, 8)
    assert torch.equal(plain.weight, strided.weight)
    assert torch.equal(plain.weight, double.weight.float())
