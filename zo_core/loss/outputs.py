"""Scores out of what a module's forward returns: a tensor, or a tensor inside of something.

| returned | taken |
|---|---|
| a tensor | itself |
| an object with ``.logits`` (transformers' outputs, a dataclass, a named tuple) | ``.logits`` |
| a mapping with "logits" or "out" (torchvision's segmentation) | that entry |
| any other mapping, tuple, list or dataclass | its first tensor |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_KEYS = ("logits", "out")


def scores_of(outputs: Any) -> torch.Tensor:
    """Return the scores out of what a forward returned.

    Raises:
        ValueError: there is no tensor in it.
    """
    import torch

    if isinstance(outputs, torch.Tensor):
        return outputs
    return find_scores(outputs)[0]


def find_scores(outputs: Any) -> tuple[torch.Tensor, str]:
    """Return the scores, and the expression that takes them, for example 'outputs.logits'.

    Raises:
        ValueError: there is no tensor in it.
    """
    import torch

    if isinstance(outputs, torch.Tensor):
        return outputs, "outputs"
    for value, expression in _candidates(outputs):
        if isinstance(value, torch.Tensor):
            return value, f"outputs{expression}"
    raise ValueError(
        "forward must return a tensor, or a dict, tuple or dataclass with a tensor in it, got "
        f"{type(outputs).__name__}; return the scores from forward"
    )


def _candidates(outputs: Any) -> Iterable[tuple[Any, str]]:
    """List what may be the scores, the likeliest first."""
    yield getattr(outputs, "logits", None), ".logits"
    if isinstance(outputs, Mapping):
        yield from ((outputs.get(key), f"[{key!r}]") for key in _KEYS)
        yield from ((value, f"[{key!r}]") for key, value in outputs.items())
    elif isinstance(outputs, tuple | list):
        yield from ((value, f"[{index}]") for index, value in enumerate(outputs))
    elif is_dataclass(outputs):
        yield from ((getattr(outputs, each.name), f".{each.name}") for each in fields(outputs))
