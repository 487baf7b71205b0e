"""Whether the objects that parameters were numbered from still hold those parameters.

``model.double()``, ``load_state_dict(assign=True)`` or a replaced layer leave the numbered buffers
behind: writing to them would train nothing.  Looking costs microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
            pairs = zip(self._state, state, strict=True)
            first = next(i for i, (before, now) in enumerate(pairs) if before != now)
            name = list(self._tensors)[first // 3]
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
    links: list[int] = []
    for part in parts:
        links.extend(map(id, part._modules.values()))
        links.extend(map(id, part._parameters.values()))
    return links


def _state(tensors: Iterable[Any]) -> list[Any]:
    """List address, requires_grad and dtype of each, flat: tuples would double the time."""
    return [x for t in tensors for x in (t.data_ptr(), t.requires_grad, t.dtype)]
