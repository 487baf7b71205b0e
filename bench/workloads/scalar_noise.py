"""Can the arithmetic that a model's steps are measured in carry zeroth-order training?"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import devices
from bench.records.details.arithmetic import ScalarNoise
from bench.workloads.child import TRIAL_TIMEOUT_S, value_of
from bench.workloads.steps import EPSILON, TAU

if TYPE_CHECKING:
    from zo_core.loss import noise

_ITEMS, _DIRECTIONS = 16, 2  # few: float64 forwards take several times as long


@lru_cache(maxsize=32)  # all cases of a model have the same
def scalar_noise_of(model: str, device: str, precision: str) -> ScalarNoise | None:
    """Measure a model's scalar noise in a process of its own; None where that fails.

    Args:
        model: as :func:`zo_core.model_names.parse_model` takes it.
        device: "cpu" or "cuda".
        precision: a name in PRECISIONS; none is refused, whatever its noise.
    """
    run = devices.run_isolated(
        "bench.workloads.scalar_noise:measure_noise",
        *(model, device, precision),
        timeout_s=TRIAL_TIMEOUT_S,
    )
    return value_of(run, ScalarNoise)


def measure_noise(model: str, device: str, precision: str) -> noise.ScalarNoise:
    """Measure it in this process: two directions over at most 16 items."""
    from bench.models.load import load_model
    from zo_core.loss.scalar_noise import measure_scalar_noise

    loaded = load_model(model).to(device)
    x, y = (part.to(device) for part in loaded.batch(_ITEMS))
    return measure_scalar_noise(
        loaded.module,
        *(x, y),
        precision=precision,
        epsilon=EPSILON,
        tau=TAU,
        directions=_DIRECTIONS,
    )
