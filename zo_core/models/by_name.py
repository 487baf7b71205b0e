"""A module from its name, for a task: the suite's, a library's, or the user's own.

Measuring and training build models here; zo_core.model_names says what the names mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zo_core.import_by_name import call_own
from zo_core.model_names import ModelName
from zo_core.models import build_model
from zo_core.models.libraries import hf_module, timm_module, torchvision_module
from zo_core.models.lm import LM_SHAPES, LanguageModel, build_lm, load_lm
from zo_core.models.lora import add_lora_

_IMAGE_DIMENSIONS = 3  # channels, height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a model is built for; None leaves it to the model's own default."""

    outputs: int | None = None  # scores, or numbers, per item
    input_shape: tuple[int, ...] | None = None  # of one item

    @property
    def channels(self) -> int | None:
        """Channels of an image; None where items are none."""
        shape = self.input_shape
        return shape[0] if shape is not None and len(shape) == _IMAGE_DIMENSIONS else None

    @property
    def image_size(self) -> int | None:
        """Height of an image, pixels; None where items are none."""
        return self.input_shape[1] if self.input_shape and self.channels is not None else None


def build_by_name(name: ModelName, task: Task, *, norm: str = "group", run_seed: int) -> nn.Module:
    """Build what a name stands for, on the CPU.

    The suite's and torchvision's models get their weights from the stream.  Others are built under
    torch's generator, seeded by the run's seed: the same weights for the same version of torch.

    Args:
        name: a parsed name.
        task: what the model is built for.
        norm: norm layers of the suite's models.
        run_seed: the run's seed, in [0, 2^64).

    Returns:
        The module, in training mode; of a factory what it made, its example batch left out.

    Raises:
        ValueError: no such model, it cannot be built for the task, or a library is not installed.
    """
    try:
        if name.kind == "suite":
            return _suite_module(name, task, norm, run_seed)
        if name.kind == "lm":
            return language_module(name, run_seed)
        if name.kind == "torchvision":
            return torchvision_module(name.name, task.outputs, task.image_size, run_seed)
        if name.kind == "factory":
            return own_module(name, run_seed)[0]
        with seeded(run_seed):
            if name.kind == "timm":
                return timm_module(name.name, task.outputs, task.channels, task.image_size)
            return hf_module(name.name, task.outputs, task.channels, task.image_size)
    except ImportError as error:
        raise ValueError(str(error)) from error


def own_module(name: ModelName, run_seed: int) -> tuple[nn.Module, Any]:
    """Call the user's factory, under torch's generator seeded by the run's seed.

    Returns:
        The module, and the example batch, unchecked; None where the factory gives none.

    Raises:
        ValueError: it cannot be imported, fails, or returns something else.
    """
    full = f"{name.module}:{name.name}"
    with seeded(run_seed):
        made = call_own(full, "model")
    module, example = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(module, nn.Module):
        raise ValueError(
            f"{full} must return a torch module, or (module, (x, y)), got a {type(made).__name__}"
        )
    return module, example


def language_module(name: ModelName, run_seed: int, end_id: int | None = None) -> LanguageModel:
    """Build or load a language model, with adapters where its name says so.

    Raises:
        ImportError: transformers or peft is not installed.
    """
    if name.name in LM_SHAPES:
        module = build_lm(name.name, dtype=name.dtype, run_seed=run_seed, end_id=end_id)
    else:
        module = load_lm(name.name, dtype=name.dtype, end_id=end_id)
    if name.lora_rank is not None:
        add_lora_(module, rank=name.lora_rank, run_seed=run_seed)
    return module


@contextmanager
def seeded(run_seed: int) -> Iterator[None]:
    """Seed torch's CPU generator inside the context; the caller's state returns after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run_seed % (1 << 63))
        yield


def _suite_module(name: ModelName, task: Task, norm: str, run_seed: int) -> nn.Module:
    shape = task.input_shape or name.input_shape
    if shape is None or len(shape) != _IMAGE_DIMENSIONS or shape[1] != shape[2]:
        raise ValueError(
            f"model {name.name} takes square images, (channels, size, size), and the data set has "
            f"items of shape {shape}; name another model: torchvision:NAME, timm:NAME, hf:FOLDER, "
            "or package.module:factory for your own"
        )
    return build_model(
        name.name,
        num_classes=task.outputs or 10,
        in_channels=shape[0],
        image_size=shape[1],
        norm=norm,
        run_seed=run_seed,
    )
