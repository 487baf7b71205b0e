"""What the suite measures, as functions that a fresh process can be told to run by name.

They take and give plain JSON, and import torch only when they run, so that a measured process holds
nothing but what the work needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import devices

if TYPE_CHECKING:
    import torch

STEP_METHODS = ("inference", "zo", "fedavg")
_RUN_SEED = 2509_03503  # any number; the workloads' weights and images follow from it
_EPSILON, _TAU, _LR = 1e-4, 0.75, 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A model of the suite with the images that it takes."""

    channels: int
    image_size: int
    num_classes: int = 10


MODEL_SHAPES = {
    "resnet18": ModelShape(channels=3, image_size=32),
    "vit": ModelShape(channels=3, image_size=32),
    "cnn": ModelShape(channels=1, image_size=8),
}


def measure_step_memory(model: str, method: str, batch: int) -> dict[str, Any]:
    """Measure the peak host memory of one training step, or of inference, in this process.

    One unmeasured step comes first, so that what a library loads or builds once is no part of the
    region.  "inference" is two consecutive forwards: as many as a ZO step's direction takes.

    Args:
        model: a name in MODEL_SHAPES.
        method: a name in STEP_METHODS.
        batch: images.

    Returns:
        devices.Measurement as JSON.
    """
    devices.phase("set-up")
    step = make_step(model, method, batch)
    devices.phase("burn-in")
    step()
    devices.phase("region")
    with devices.measure() as region:
        step()
    return region.to_json()


def make_step(model: str, method: str, batch: int) -> Callable[[], object]:
    """Build a model and a batch, and return the step to be measured."""
    module = build(model)
    x, y = images(model, batch)
    return {"inference": _inference, "zo": _zo_step, "fedavg": _fedavg_step}[method](module, x, y)


def build(model: str, norm: str = "group") -> torch.nn.Module:
    """Build a model of the suite with the suite's initial weights."""
    from zo_core.models import build_model

    shape = MODEL_SHAPES[model]
    return build_model(
        model,
        num_classes=shape.num_classes,
        in_channels=shape.channels,
        image_size=shape.image_size,
        norm=norm,
        run_seed=_RUN_SEED,
    )


def images(model: str, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a batch of noise in a model's input shape, with labels."""
    import torch

    shape = MODEL_SHAPES[model]
    generator = torch.Generator().manual_seed(_RUN_SEED)
    size = (batch, shape.channels, shape.image_size, shape.image_size)
    labels = torch.randint(shape.num_classes, (batch,), generator=generator)
    return torch.randn(size, generator=generator), labels


def _inference(module: Any, x: Any, y: Any) -> Callable[[], object]:
    from zo_core.loss.module_loss import mean_loss

    return lambda: [mean_loss(module, x, y) for _ in range(2)]


def _zo_step(module: Any, x: Any, y: Any) -> Callable[[], object]:
    """One direction of ZOWarmUp on the grid: two forwards, three passes, one replay."""
    from zo_core import ZOSGD, snap_
    from zo_core.loss.module_loss import mean_loss

    optimizer = ZOSGD(
        module, lr=_LR, epsilon=_EPSILON, tau=_TAU, grid=snap_(module), run_seed=_RUN_SEED
    )
    return lambda: optimizer.step(lambda: mean_loss(module, x, y))


def _fedavg_step(module: Any, x: Any, y: Any) -> Callable[[], object]:
    """One step of FedAvg's local SGD: forward, backward, update."""
    from zo_core.local_sgd import sgd_step_

    module.train()
    return lambda: sgd_step_(module, x, y, lr=_LR)


def train(config: dict[str, Any]) -> dict[str, Any]:
    """Run one whole training in this process.

    Args:
        config: fields of zo_core.config.TrainConfig.

    Returns:
        zo_core.federation.record.TrainingRecord as plain data.
    """
    from dataclasses import asdict

    from zo_core.config import TrainConfig
    from zo_core.data import load_dataset
    from zo_core.federation.training import Training

    chosen = TrainConfig(**config)
    return asdict(Training(chosen, load_dataset(chosen.dataset)).run())
