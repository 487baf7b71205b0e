"""Known answers for the models' shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from zo_core.compat.torchvision import import_torchvision
from zo_core.models import MODELS, ModelConfig, build_model, count_parameters, skeleton

SHAPE = {"in_channels": 3, "image_size": 32}
RGB = {**SHAPE, "run_seed": 1}


def outline(name: str, **shape: Any) -> nn.Module:
    """A model on the meta device, for what depends on shapes alone."""
    return skeleton(name, ModelConfig(**{"num_classes": 10, **SHAPE, **shape}))


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_resnet18_has_the_papers_count_with_either_norm(norm: str) -> None:
    assert count_parameters(outline("resnet18", norm=norm)) == 11_173_962


def test_resnet18_counts_of_half_width_and_of_a_thousand_classes() -> None:
    assert count_parameters(outline("resnet18", width=0.5)) == 2_797_610
    assert count_parameters(outline("resnet18", num_classes=1000)) == 11_681_832


def test_batch_norm_resnet18_has_twenty_norms_and_9600_running_statistics() -> None:
    model = outline("resnet18", norm="batch")
    assert sum(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == 20
    assert sum(b.numel() for b in model.buffers() if b.is_floating_point()) == 9_600


def test_resnet18_makes_the_papers_maps_and_multiplications() -> None:
    model, sizes, products = build_model("resnet18", **RGB), [], []

    def note(module: nn.Module, _: object, out: torch.Tensor) -> None:
        sizes.append(out.numel())
        if isinstance(module, nn.Conv2d | nn.Linear):
            pixels = out[0, 0].numel() if out.ndim == 4 else 1
            products.append(pixels * module.weight.numel())

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.GroupNorm | nn.Linear):
            module.register_forward_hook(note)
    model(torch.zeros(1, 3, 32, 32))
    assert sum(sizes) == 1_228_810  # figure 8's 9.83 MB, forward and backward
    assert sum(products) == pytest.approx(555.43e6, rel=1e-3)  # figure 8's mult-adds


def test_vit_has_the_papers_count_without_what_its_figure_leaves_out() -> None:
    model = outline("vit")
    left_out = [model.encoder.pos_embedding, model.class_token, *model.encoder.ln.parameters()]
    assert count_parameters(model) == 18_979_338
    assert count_parameters(model) - sum(p.numel() for p in left_out) == 18_944_522


def test_small_models_are_small() -> None:
    assert count_parameters(build_model("small_resnet", **RGB)) == 78_042
    assert count_parameters(build_model("cnn", in_channels=1, image_size=8, run_seed=0)) == 6_138


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 28)])
def test_every_model_takes_every_data_sets_images(name: str, channels: int, size: int) -> None:
    model = build_model(name, num_classes=7, in_channels=channels, image_size=size, run_seed=0)
    assert model(torch.zeros(2, channels, size, size)).shape == (2, 7)


@pytest.mark.parametrize("size", [1, 4, 5, 7, 8, 9, 32])
def test_the_cnn_takes_images_of_any_size(size: int) -> None:
    model = build_model("cnn", in_channels=1, image_size=size, run_seed=0)
    assert model(torch.zeros(2, 1, size, size)).shape == (2, 10)
    assert count_parameters(model) == 6_138


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("name", ["cnn", "small_resnet"])
def test_in_place_layers_leave_gradients_right(name: str, norm: str) -> None:
    model = build_model(name, in_channels=1, image_size=8, norm=norm, run_seed=3).double().eval()
    x = torch.linspace(-1, 1, 2 * 64, dtype=torch.float64).view(2, 1, 8, 8).sin()
    target = torch.tensor([1, 7])
    parameters = list(model.parameters())
    direction = [torch.linspace(-1, 1, p.numel()).sin().view_as(p) for p in parameters]

    def loss(step: float) -> torch.Tensor:
        moved = {
            name: p + step * d
            for (name, p), d in zip(model.named_parameters(), direction, strict=True)
        }
        return nn.functional.cross_entropy(torch.func.functional_call(model, moved, x), target)

    gradients = torch.autograd.grad(loss(0.0), parameters)
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True))
    difference = (loss(1e-8) - loss(-1e-8)).item()
    assert difference / 2e-8 == pytest.approx(slope, rel=1e-4)


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'alexnet'; known: cnn, resnet18, small_resnet, vit"):
        build_model("alexnet", **RGB)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet18", {"norm": "layer"}, "unknown norm 'layer'; known: group, batch"),
        ("resnet18", {"width": 0.0}, r"width must be in \(0, 1\], got 0.0"),
        ("vit", {"width": 0.5}, "leave both at their defaults"),
        ("vit", {"norm": "batch"}, "leave both at their defaults"),
        ("vit", {"image_size": 30}, "multiple of 4 for vit, got 30"),
    ],
)
def test_a_shape_that_a_model_does_not_have_is_an_error(
    name: str, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(name, **{**RGB, **arguments})


def test_tied_and_frozen_parameters_are_counted_once_and_never() -> None:
    layers = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    layers[1].weight = layers[0].weight
    layers[0].bias.requires_grad_(False)
    assert count_parameters(layers) == 9 + 3


def test_torchvision_loads_models_and_data_sets() -> None:
    assert import_torchvision("models").resnet18 is not None
    assert import_torchvision("datasets").CIFAR10 is not None
