"""What the suite measures of language models, as functions that a fresh process runs by name."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import devices
from bench.records.details.machine import PredictedStep
from bench.workloads.steps import LR, RETURN_BLOCKS, bind_step
from bench.workloads.timing import take_turns

BACKPROP_VARIANTS = ("plain", "checkpointed", "layerwise")
_TURNS = 5
_M_MMAP_THRESHOLD = -3  # glibc's malloc.h


@dataclass(frozen=True, slots=True, kw_only=True)
class LMStep:
    """One step of a language model."""

    region: devices.Measurement
    tensor_peak_bytes: int
    tensor_by_category: Mapping[str, int]  # bytes at the peak
    parameters: int
    perturb_per_add: tuple[float, ...]  # of a ZO step: a pass over a scalar add, turn by turn


def measure_lm_step(model: str, method: str, batch: int) -> LMStep:
    """Measure one step's tensors, then another's resident memory and time, in this process.

    The first step, under the tracker, also loads what a library loads once; the tracker is gone
    before the second.

    Args:
        model: ``lm:NAME`` as :func:`zo_core.model_names.parse_model` takes it.
        method: a name in bench.workloads.steps.STEP_METHODS.
        batch: sequences a forward.
    """
    devices.phase("set-up")
    from bench.models.load import load_model
    from devices.tensor_memory import track_tensors
    from zo_core.models import count_parameters

    loaded = load_model(model)
    x, y = loaded.batch(batch)
    step = bind_step(loaded.module, x, y, method, micro_batch=batch)
    _return_blocks()
    devices.phase("tracked step")
    existing = [*loaded.module.buffers(), x, y]
    with track_tensors(parameters=loaded.module.parameters(), existing=existing) as tracker:
        step()
    tensors = tracker.result()
    del tracker
    devices.phase("measured step")
    with devices.measure() as region:
        step()
    if method == "zo":
        devices.phase("passes")
    return LMStep(
        region=region,
        tensor_peak_bytes=tensors.peak_bytes,
        tensor_by_category=tensors.by_category,
        parameters=count_parameters(loaded.module),
        perturb_per_add=_perturb_per_add(loaded.module) if method == "zo" else (),
    )


def _return_blocks() -> None:
    """Have glibc give blocks back from here on, as RETURN_BLOCKS has it from a process's start.

    Filling a billion weights by small chunks would take eleven times as long under it.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library keeps what it likes
        threshold_bytes = int(RETURN_BLOCKS["MALLOC_MMAP_THRESHOLD_"])
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, threshold_bytes)


def _perturb_per_add(module: Any) -> tuple[float, ...]:
    """Time a perturbation against a scalar add over the same weights, turn by turn."""
    from zo_core import parameters, perturb_

    params = parameters(module)
    seconds = take_turns(
        {
            "add": lambda: [array.add_(2.0**-20) for array in params.arrays],
            "perturb": lambda: perturb_(params, seed=0, scale=2.0**-20),
        },
        _TURNS,
    )
    return tuple(b / a for a, b in zip(seconds["add"], seconds["perturb"], strict=True))


def predict_lm_tensors(model: str, batches: Sequence[int]) -> list[PredictedStep]:
    """Count the tensors of steps at their peak without their memory, weights included.

    A ZO step needs what its forward needs; of backprop, BACKPROP_VARIANTS are
    counted, by SGD.
    """
    names = ("forward", *BACKPROP_VARIANTS)
    return [_predict_lm(model, name, batch) for batch in batches for name in names]


def _predict_lm(model: str, variant: str, batch: int) -> PredictedStep:
    from bench.models.load import outline_model
    from bench.workloads.tensors_without_memory import count_without_memory, forward_only
    from zo_core.first_order.memory_efficient_backprop import backprop_step

    loaded = outline_model(model)
    module = loaded.module

    def step(x: Any, y: Any) -> None:
        if variant == "forward":
            return forward_only(module, x, y)
        module.train()
        return backprop_step(variant)(module, x, y, lr=LR)

    peak = count_without_memory(module, loaded.batch(batch), step)
    return PredictedStep(
        variant=variant,
        batch=batch,
        bytes=peak.peak_bytes,
        weights_bytes=sum(p.numel() * p.element_size() for p in module.parameters()),
        by_category=dict(peak.by_category),
    )


def count_parameters_of(model: str) -> int:
    """Count a language model's trainable elements, tied ones once, without building them."""
    from bench.models.load import outline_model
    from zo_core.models import count_parameters

    return count_parameters(outline_model(model).module)
