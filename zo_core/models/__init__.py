"""Models by name, with initial weights that one run seed fixes on every device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import nn

from zo_core.models.cnn import small_cnn
from zo_core.models.config import NORMS, ModelConfig
from zo_core.models.counts import count_parameters
from zo_core.models.init import init_weights_
from zo_core.models.resnet import resnet18, small_resnet
from zo_core.models.vit import paper_vit

__all__ = [
    "MODELS",
    "NORMS",
    "ModelConfig",
    "build_model",
    "count_parameters",
    "init_weights_",
    "skeleton",
]

MODELS: Final[dict[str, Callable[[ModelConfig], nn.Module]]] = {
    "cnn": small_cnn,
    "resnet18": resnet18,
    "small_resnet": small_resnet,
    "vit": paper_vit,
}


def build_model(
    name: str,
    *,
    num_classes: int = 10,
    in_channels: int,
    image_size: int,
    norm: str = "group",
    width: float = 1.0,
    run_seed: int,
) -> nn.Module:
    """Build a model and fill its weights from the stream.

    Args:
        name: a name in :data:`MODELS`.
        num_classes: number of outputs.
        in_channels: channels of an image.
        image_size: height and width of an image, pixels.
        norm: "group" or "batch"; convolutional models only.
        width: factor on the hidden channel counts, in (0, 1]; convolutional models only.
        run_seed: the run's seed, in [0, 2^64).

    Returns:
        The module, in training mode, float32, on the CPU.

    Raises:
        ValueError: an unknown name or norm, or a shape that the model does not have.

    >>> count_parameters(build_model("cnn", in_channels=1, image_size=8, run_seed=0))
    6138
    """
    config = ModelConfig(
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
        norm=norm,
        width=width,
    )
    module = _build(name, config)
    init_weights_(module, run_seed)
    return module


def skeleton(name: str, config: ModelConfig) -> nn.Module:
    """Build a model without memory for its weights, for what depends on their shapes alone.

    Raises:
        ValueError: an unknown name, or a shape that the model does not have.
    """
    with torch.device("meta"):
        return _build(name, config)


def _build(name: str, config: ModelConfig) -> nn.Module:
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    # torch's layers draw default weights when they are built: leave the caller's generator alone
    with torch.random.fork_rng(devices=[]):
        return MODELS[name](config)
