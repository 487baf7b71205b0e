"""Whether the objects that parameters were numbered from still hold those parameters.

``model.double()``, ``load_state_dict(assign=True)`` or a replaced layer leave the numbered buffers
behind: writing to them would train nothing.  Looking costs microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class Source:
    """What parameters were numbered from: a module's parts, or the tensors of a list.

    Args:
        named: the objects by name; torch parameters, tensors or NumPy arrays.
        module: the module that they are of; None for a list.
    """

    def __init__(self, named: Mapping[str, Any], module: Any = None) -> None:
        self._tensors = {n: t for n, t in named.items() if not isinstance(t, np.ndarray)}
        self._parts = [] if module is None else _parts(module)
        self._links, self._state = _links(self._parts), _state(self._tensors.values())

    def check(self) -> None:
        """Check that nothing was replaced.

        Raises:
            ValueError: a parameter has other memory, another dtype or another requires_grad, or a
                layer was replaced.
        """
        state = _state(self._tensors.values())
        if state != self._state:
            changed = zip(self._tensors, self._state, state, strict=True)
            name = next(name for name, before, now in changed if before != now)
            raise ValueError(
                f"parameter {name!r} {_REMEDY.format('.to(), .double() or requires_grad_()')}"
            )
        if _links(self._parts) != self._links:
            raise ValueError(
                f"the module {_REMEDY.format('a replaced layer or load_state_dict(assign=True)')}"
            )


_REMEDY = (
    "has changed since its parameters were numbered ({}?): training would not reach it; call "
    "zo_core.parameters again, and snap_ for a grid, and make a new replica or optimizer"
)


def _parts(module: Any) -> list[Any]:
    return list(module.modules())


def _links(parts: Sequence[Any]) -> list[int]:
    """Identify what each part refers to; the parts and their parameters are kept alive."""
    return [
        id(value)
        for part in parts
        for links in (part._modules, part._parameters)
        for value in links.values()
    ]


def _state(tensors: Any) -> list[tuple[Any, ...]]:
    return [(tensor.data_ptr(), tensor.requires_grad, tensor.dtype) for tensor in tensors]
