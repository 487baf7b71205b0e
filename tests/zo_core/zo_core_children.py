"""Functions that the tests run in fresh processes; imports nothing that they don't measure."""

from __future__ import annotations

from typing import Any

import numpy as np

import devices
from zo_core import apply_updates_, loss_differences, perturb_, snap_


def extra_bytes(operation: str, elements: int) -> Any:
    """Peak above the baseline of one operation on a warm float32 array of that many elements."""
    weights = np.full(elements, 0.02, dtype=np.float32)
    small = np.full(40_000, 0.02, dtype=np.float32)
    _OPERATIONS[operation](small)  # burn-in: imports, thread stacks
    with devices.measure() as region:
        _OPERATIONS[operation](weights)
    return region.peak_above_baseline_bytes.value


def extra_bytes_of_payload(body_hex: str) -> Any:
    """Peak above the baseline of decoding a body that must be refused."""
    from zo_core.payload import Payload, PayloadError

    body = bytes.fromhex(body_hex)
    refused = 0
    with devices.measure() as region:
        try:
            Payload.decode(body)
        except PayloadError:
            refused = 1
    return [refused, region.peak_above_baseline_bytes.value]


def _replay(weights: Any) -> None:
    apply_updates_([weights], [(seed, 0.1) for seed in range(3)], 0.01, epsilon=1e-3)


_OPERATIONS = {
    "perturb": lambda w: perturb_([w], seed=1, scale=0.5),
    "perturb strided": lambda w: perturb_([w[::2]], seed=1, scale=0.5),
    "gaussian": lambda w: perturb_([w], seed=1, scale=0.5, distribution="gaussian"),
    "sphere": lambda w: perturb_([w], seed=1, scale=0.5, distribution="sphere"),
    "differences": lambda w: loss_differences(lambda: 0.0, [w], [1, 2], epsilon=1e-3),
    "snap": lambda w: snap_([w]),
    "replay": _replay,
    "copy": lambda w: w + 1.0,  # what the meter must see
}
