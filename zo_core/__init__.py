"""A zeroth-order training engine: in-place, exact, one direction per seed on every machine.

Importing this package loads nothing else; each public name loads its module on first use. The names
need only NumPy. What needs torch is in ``zo_core.models``, ``zo_core.data``,
``zo_core.loss.module_loss``, ``zo_core.federation.simulation`` and the first-order methods of
``zo_core.algorithms``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zo_core.digest import digest
    from zo_core.directions import rademacher
    from zo_core.optimizer import apply_updates_
    from zo_core.parameters import parameters
    from zo_core.payloads.core import Payload, PayloadError
    from zo_core.perturbation import perturb_
    from zo_core.replay import replay
    from zo_core.seeds import derive_seed
    from zo_core.spsa import NonFiniteLossError, loss_differences, projected_gradient
    from zo_core.update_log import LogError, UpdateLog
    from zo_core.weight_grid import Grid, GridError, snap_
    from zo_core.zosgd import ZOSGD

__all__ = [
    "ZOSGD",
    "Grid",
    "GridError",
    "LogError",
    "NonFiniteLossError",
    "Payload",
    "PayloadError",
    "UpdateLog",
    "apply_updates_",
    "derive_seed",
    "digest",
    "loss_differences",
    "parameters",
    "perturb_",
    "projected_gradient",
    "rademacher",
    "replay",
    "snap_",
]

_MODULES = {  # where each name is defined
    "digest": ("digest",),
    "directions": ("rademacher",),
    "optimizer": ("apply_updates_",),
    "parameters": ("parameters",),
    "payloads.core": ("Payload", "PayloadError"),
    "perturbation": ("perturb_",),
    "replay": ("replay",),
    "seeds": ("derive_seed",),
    "spsa": ("NonFiniteLossError", "loss_differences", "projected_gradient"),
    "update_log": ("LogError", "UpdateLog"),
    "weight_grid": ("Grid", "GridError", "snap_"),
    "zosgd": ("ZOSGD",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load the module that defines a public name."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return __all__


class _Package(ModuleType):
    """Keep digest, parameters and replay functions: importing these modules would replace them."""

    def __setattr__(self, name: str, value: Any) -> None:
        shadows = isinstance(value, ModuleType) and name in _MODULE_OF
        super().__setattr__(name, getattr(value, name) if shadows else value)


sys.modules[__name__].__class__ = _Package
