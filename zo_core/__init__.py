"""A zeroth-order training engine: in-place, exact, and one direction a seed on every machine.

Importing this package needs NumPy alone; what needs torch lives in ``zo_core.models``,
``zo_core.data``, ``zo_core.loss.module_loss``, ``zo_core.federation.simulation`` and the
first-order methods of ``zo_core.algorithms``.
"""

from zo_core.digest import digest
from zo_core.grid import Grid, GridError, snap_
from zo_core.optimizer import ZOSGD, apply_updates_
from zo_core.parameters import parameters
from zo_core.payloads.core import Payload, PayloadError
from zo_core.perturbation import perturb_
from zo_core.spsa import NonFiniteLossError, loss_differences, projected_gradient
from zo_core.stream import derive_seed, rademacher

__all__ = [
    "ZOSGD",
    "Grid",
    "GridError",
    "NonFiniteLossError",
    "Payload",
    "PayloadError",
    "apply_updates_",
    "derive_seed",
    "digest",
    "loss_differences",
    "parameters",
    "perturb_",
    "projected_gradient",
    "rademacher",
    "snap_",
]
