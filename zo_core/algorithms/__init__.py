"""Training algorithms: their protocol, one method a file, and the registry by name.

Importing this package needs NumPy alone; the registry, looked up when it is first named, brings the
first-order methods and with them torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zo_core.algorithms.registry import ALGORITHMS, build_algorithm

__all__ = ["ALGORITHMS", "build_algorithm"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from zo_core.algorithms import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
