"""How exact a client's scalars are: dL by torch and by ONNX Runtime against a float64 forward.

A model is warmed up on the digits (enlarged to the model's images), snapped and exported; then each
back end computes dL along the same directions, at the same weights, over the same images.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from bench.models.load import load_model
from bench.records.details.arithmetic import ForwardArithmetic
from bench.records.details.machine import ScalarErrors
from bench.records.typed_json import from_json
from bench.workloads.steps import EPSILON, TAU
from zo_core import derive_seed, loss_differences, snap_
from zo_core.data import load_dataset
from zo_core.edge.arithmetic import measure_arithmetic
from zo_core.edge.export import export_model
from zo_core.edge.load import load_replica
from zo_core.federation import Replica
from zo_core.first_order.sgd import sgd_step_
from zo_core.loss.module_loss import mean_loss
from zo_core.weight_grid import Grid

_RUN_SEED = 2509_03503
_WARM_UP_BATCH = 32
_Differences = npt.NDArray[np.float64]


def measure_precision(
    model: str,
    *,
    images: int,
    seeds: int,
    steps: int,
    lr: float,
    micro_batch: int,
) -> ScalarErrors:
    """Compare dL of both back ends with float64's, at warmed-up weights.

    Args:
        model: as :func:`zo_core.model_names.parse_model` takes it; a model of the suite.
        images: that a loss is over.
        seeds: directions.
        steps: SGD steps of the warm-up.
        lr: its rate.
        micro_batch: items a forward.
    """
    loaded = load_model(model)
    x, y = enlarged_digits(loaded.input_shape)
    before = mean_loss(loaded.module, x[:images], y[:images], micro_batch=micro_batch)
    warm_up_(loaded.module, x, y, steps=steps, lr=lr)
    grid = snap_(loaded.module)
    x, y = x[:images], y[:images]
    with tempfile.TemporaryDirectory() as folder:
        example = (x[:2], y[:2])
        manifest = export_model(loaded.module, Path(folder), example=example, name=model, grid=grid)
        onnx = load_replica(Path(folder), mode="speed")
    arithmetic = measure_arithmetic(onnx, manifest, micro_batch=micro_batch)
    directions = [
        derive_seed(_RUN_SEED, round_index=0, client_id=0, direction=s) for s in range(seeds)
    ]
    module = loaded.module
    torch_loss = partial(Replica(module).mean_loss, x, y, micro_batch=micro_batch)
    onnx_loss = partial(onnx.mean_loss, x, y, micro_batch=micro_batch)
    found = {
        "float64": _along(_float64_loss(module, x, y, micro_batch), module, grid, directions),
        "torch": _along(torch_loss, module, grid, directions),
        "onnx": _along(onnx_loss, onnx.params, grid, directions),
    }
    exact = found["float64"]
    others = {name: differences for name, differences in found.items() if name != "float64"}
    return ScalarErrors(
        loss_before=before,
        loss=mean_loss(module, x, y, micro_batch=micro_batch),
        rms=_rms(exact),
        error_rms={name: _rms(d - exact) for name, d in others.items()},
        correlation={name: float(np.corrcoef(d, exact)[0, 1]) for name, d in others.items()},
        differences={name: tuple(map(float, d)) for name, d in found.items()},
        arithmetic=from_json(ForwardArithmetic, arithmetic.to_json()),
    )


def enlarged_digits(shape: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the digits' training images, each pixel repeated to fill (channels, size, size)."""
    split = load_dataset("digits").train
    size = shape[-1]
    x = split.x if split.x.shape[-1] == size else F.interpolate(split.x, size=(size, size))
    return x.expand(-1, shape[0], -1, -1).contiguous(), split.y


def warm_up_(module: nn.Module, x: torch.Tensor, y: torch.Tensor, *, steps: int, lr: float) -> None:
    """Take SGD steps over consecutive batches, in place."""
    module.train()
    for step in range(steps):
        items = torch.arange(step * _WARM_UP_BATCH, (step + 1) * _WARM_UP_BATCH) % len(x)
        sgd_step_(module, x[items], y[items], lr=lr)
    module.eval()


def _float64_loss(
    module: nn.Module, x: torch.Tensor, y: torch.Tensor, micro_batch: int
) -> Callable[[], float]:
    """Forward a float64 copy of the fp32 weights, whose perturbation is exact on the grid."""
    double = copy.deepcopy(module).double()
    wide = x.double()

    def loss() -> float:
        with torch.no_grad():
            for target, source in zip(double.parameters(), module.parameters(), strict=True):
                target.copy_(source)
        return mean_loss(double, wide, y, micro_batch=micro_batch)

    return loss


def _along(loss_fn: Callable[[], float], params: Any, grid: Grid, seeds: list[int]) -> _Differences:
    found = loss_differences(loss_fn, params, seeds, epsilon=EPSILON, tau=TAU, grid=grid)
    return found.astype(np.float64)


def _rms(values: _Differences) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
