"""A model and batches for it, from its name: the suite's, a library's, a language model, or the
user's own.

The user's factory takes no arguments and returns a module, or (module, (x, y)) with an example
batch.  Without an example, inputs are noise of the shape given and labels are drawn for as many
classes as the module has outputs; the loss is the cross entropy either way.  Imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from zo_core.loss.items import require_items
from zo_core.loss.module_loss import evaluating
from zo_core.loss.outputs import scores_of
from zo_core.model_names import ModelName, parse_model
from zo_core.models.by_name import Task, build_by_name, language_module, own_module
from zo_core.models.libraries import hf_input_shape, timm_input_shape
from zo_core.models.lm import LanguageModel, outline_lm, require_length
from zo_core.models.lora import add_lora_
from zo_core.models.special_layers import packed_layers, require_trainable

_RUN_SEED = 2509_03503  # any number; weights and inputs follow from it
_CLASSES = 10  # of the suite's own models
_Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A module with what it takes to make batches for it."""

    module: nn.Module
    example: _Batch | None  # (items, ...) and (items,), repeated to any batch; None: noise
    input_shape: tuple[int, ...]  # of one item
    num_classes: int
    is_language: bool = False  # inputs are token ids, targets a token for each of them
    vocabulary: int | None = None  # inputs are token ids below it, targets classes

    def batch(self, items: int) -> _Batch:
        """Make inputs (items, *input_shape) and targets (items,), the same at every call."""
        if self.example is not None:
            x, y = self.example
            chosen = torch.arange(items) % len(x)
            return x[chosen], y[chosen]
        generator = torch.Generator().manual_seed(_RUN_SEED)
        if self.is_language:
            tokens = (items, self.input_shape[0] + 1)
            ids = torch.randint(self.num_classes, tokens, generator=generator)
            return ids[:, :-1], ids[:, 1:]
        y = torch.randint(self.num_classes, (items,), generator=generator)
        shape = (items, *self.input_shape)
        if self.vocabulary is not None:
            return torch.randint(self.vocabulary, shape, generator=generator), y
        return torch.randn(shape, generator=generator), y

    def to(self, device: str) -> LoadedModel:
        """Move the module, in place; batches are made on the CPU."""
        self.module.to(device)
        return self


def load_model(model: str) -> LoadedModel:
    """Build a model by name.

    Args:
        model: as :func:`zo_core.model_names.parse_model` takes it.

    Returns:
        The module, float32 unless the factory's own is not, on the CPU.

    Raises:
        ValueError: the name is unknown, an import fails, or a factory returns something else than
            a module, or (module, (x, y)).
    """
    name = parse_model(model)
    if name.kind == "factory":
        return _from_factory(name, model)
    if name.kind == "lm":
        return _language_model(name)
    module = build_by_name(name, Task(input_shape=name.input_shape), run_seed=_RUN_SEED)
    if name.kind == "suite":
        return _noise(module, cast(tuple[int, ...], name.input_shape), _CLASSES)
    shape = name.input_shape or _own_shape(name, module)
    return _with_classes(module, shape, model)


def _own_shape(name: ModelName, module: nn.Module) -> tuple[int, ...]:
    """Return the shape of one input that a library's model is meant for."""
    return timm_input_shape(module) if name.kind == "timm" else hf_input_shape(module)


def outline_model(model: str) -> LoadedModel:
    """Build a language model's shapes on the meta device, which takes no memory.

    Raises:
        ValueError: it is no language model by shape.
    """
    name = parse_model(model)
    if name.kind != "lm":
        raise ValueError(f"an outline needs lm:NAME, got {model!r}")
    try:
        module = _with_adapters(outline_lm(name.name, dtype=name.dtype), name)
    except ImportError as error:
        raise ValueError(str(error)) from error
    return _tokens(module, cast(tuple[int, ...], name.input_shape))


def _language_model(name: ModelName) -> LoadedModel:
    try:
        module = language_module(name, _RUN_SEED)
    except ImportError as error:
        raise ValueError(str(error)) from error
    return _tokens(module, cast(tuple[int, ...], name.input_shape))


def _with_adapters(module: LanguageModel, name: ModelName) -> LanguageModel:
    if name.lora_rank is not None:
        add_lora_(module, rank=name.lora_rank, run_seed=_RUN_SEED)
    return module


def _tokens(module: LanguageModel, shape: tuple[int, ...]) -> LoadedModel:
    require_length(shape[0], module.positions)
    return LoadedModel(
        module=module,
        example=None,
        input_shape=shape,
        num_classes=module.vocabulary,
        is_language=True,
    )


def _from_factory(name: ModelName, model: str) -> LoadedModel:
    module, example = own_module(name, _RUN_SEED)
    if packed_layers(module):
        require_trainable(module)
    if example is not None:
        return _with_example(module, example, model)
    if name.input_shape is None:
        raise ValueError(
            f"{model} gives no example batch: add --input-shape, e.g. --input-shape 3,224,224, "
            "or return (module, (x, y))"
        )
    return _with_classes(module, name.input_shape, model)


def _with_example(module: nn.Module, example: Any, model: str) -> LoadedModel:
    x, y = _checked_example(example, model)
    outputs = _scores(module, x[:1], model)
    if y.ndim == 1:
        require_items(x, y, num_classes=outputs.shape[-1], where=f"{model}: the example batch")
    return LoadedModel(
        module=module, example=(x, y), input_shape=tuple(x.shape[1:]), num_classes=outputs.shape[-1]
    )


def _checked_example(example: Any, model: str) -> _Batch:
    is_pair = isinstance(example, tuple | list) and len(example) == 2
    if not (is_pair and all(isinstance(part, torch.Tensor) for part in example)):
        raise ValueError(f"{model}: the example batch must be (x, y), got {_describe(example)}")
    x, y = example
    if not (x.ndim and y.ndim and 0 < len(x) == len(y)):
        raise ValueError(
            f"{model}: x and y must hold as many items, at least one, "
            f"got shapes {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if y.dtype != torch.int64:
        raise ValueError(f"{model}: y must be int64, got {y.dtype}; return y.long()")
    return x, y


def _with_classes(module: nn.Module, input_shape: tuple[int, ...], model: str) -> LoadedModel:
    """Try one input, and take as many classes as there are outputs."""
    vocabulary = getattr(getattr(module, "config", None), "vocab_size", None)
    is_text = vocabulary is not None and len(input_shape) == 1
    x = torch.zeros((1, *input_shape), dtype=torch.int64 if is_text else torch.float32)
    outputs = _scores(module, x, model)
    if outputs.ndim != 2 and not is_text:
        raise ValueError(f"{model} must return scores (items, classes), got {_describe(outputs)}")
    return LoadedModel(
        module=module,
        example=None,
        input_shape=input_shape,
        num_classes=outputs.shape[-1],
        is_language=is_text and outputs.ndim == 3,
        vocabulary=vocabulary if is_text else None,
    )


def _scores(module: nn.Module, x: torch.Tensor, model: str) -> torch.Tensor:
    """Return the outputs of one item.

    Not in inference mode: layers that are built by their first input, and tables that are kept
    from it, would then refuse to take part in backprop for ever.
    """
    with torch.no_grad(), evaluating(module):
        try:
            outputs = scores_of(module(x))
        except Exception as error:
            raise ValueError(
                f"{model} does not take an input of shape {tuple(x.shape)}: {error}"
            ) from error
    if outputs.ndim not in (2, 3):
        raise ValueError(
            f"{model} must return scores, (items, classes) or (items, positions, classes), got "
            f"{_describe(outputs)}"
        )
    return outputs


def _noise(module: nn.Module, input_shape: tuple[int, ...], num_classes: int) -> LoadedModel:
    return LoadedModel(
        module=module, example=None, input_shape=input_shape, num_classes=num_classes
    )


def _describe(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
