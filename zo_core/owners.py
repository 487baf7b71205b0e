"""Which modules contain the parameters of an optimizer, so that it notices when none does any more.

``load_state_dict(assign=True)`` or a replaced layer leave an optimizer with tensors that no model
uses: training would continue without a word. Imports torch.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence

import torch
from torch import nn


class Owners:
    """The modules that contain some tensors; a tensor that no module contains is not watched.

    Args:
        names: of the tensors, for messages.
        tensors: of an optimizer.
    """

    def __init__(self, names: Sequence[str], tensors: Sequence[torch.Tensor]) -> None:
        self._names, self._tensors = names, tensors
        self._found = _find_owners(tensors)

    def check(self) -> None:
        """Check that a module contains each tensor still; takes microseconds while one does.

        Raises:
            ValueError: none does.
        """
        if all(any(map(_contains, refs, [key] * len(refs))) for key, refs in self._found.items()):
            return
        now = _find_owners(self._tensors)  # a parametrization moves a parameter to another module
        for name, tensor in zip(self._names, self._tensors, strict=True):
            if id(tensor) in self._found and id(tensor) not in now:
                raise ValueError(
                    f"parameter {name!r} is not part of its model any more (a replaced layer or "
                    "load_state_dict(assign=True)?): training would not reach the model; make a "
                    "new optimizer"
                )
        self._found = now


def _find_owners(
    tensors: Sequence[torch.Tensor],
) -> dict[int, list[weakref.ref[nn.Module]]]:
    """Look through all modules for those that contain a tensor, by the tensor's id."""
    found: dict[int, list[weakref.ref[nn.Module]]] = {}
    wanted = set(map(id, tensors))
    for module in _modules():
        for parameter in module._parameters.values():
            if id(parameter) in wanted:
                found.setdefault(id(parameter), []).append(weakref.ref(module))
    return found


def _modules() -> Iterator[nn.Module]:
    for thing in gc.get_objects():
        if issubclass(type(thing), nn.Module) and "_parameters" in vars(thing):
            yield thing


def _contains(owner: weakref.ref[nn.Module], key: int) -> bool:
    module = owner()
    return module is not None and any(id(p) == key for p in module._parameters.values())
