"""Our own steps as audit cases: each kernel, each kind of model, on the grid and off it."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from bench.audit import AuditCase
from zo_core import ZOSGD, snap_
from zo_core.compat.torchvision import import_torchvision
from zo_core.kernels.selection import force_kernel
from zo_core.loss.module_loss import cross_entropy
from zo_core.models import build_model
from zo_core.torch import ZOSGD as TorchZOSGD  # noqa: N811

KERNELS = ("c", "numpy", "torch")
_RUN_SEED = 5
_EPSILON = 1e-3


def case_of(
    module: nn.Module,
    batch: tuple[torch.Tensor, torch.Tensor],
    kernel: str,
    seed: int,
    lr: float,
    *,
    on_grid: bool = True,
) -> AuditCase:
    """Make ZO-SGD's step with two directions, by one kernel."""
    x, y = batch
    module.eval()

    @torch.no_grad()
    def loss() -> float:
        return float(cross_entropy(module(x), y).mean())

    grid = snap_(module) if on_grid else None
    optimizer = ZOSGD(module, lr=lr, epsilon=_EPSILON, directions=2, run_seed=seed, grid=grid)

    def step() -> None:
        with force_kernel(kernel):
            optimizer.step(loss)

    return AuditCase(module, step, loss)


def cnn(kernel: str, seed: int, lr: float) -> AuditCase:
    module = build_model("cnn", in_channels=1, image_size=8, run_seed=_RUN_SEED)
    return case_of(module, _images(1, 8), kernel, seed, lr)


def vit(kernel: str, seed: int, lr: float) -> AuditCase:
    models: Any = import_torchvision("models")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_RUN_SEED)
        module = models.VisionTransformer(
            image_size=8,
            patch_size=4,
            num_layers=2,
            num_heads=2,
            hidden_dim=64,
            mlp_dim=128,
            num_classes=10,
        )
        nn.init.normal_(module.heads.head.weight, std=0.1)
    return case_of(module, _images(3, 8), kernel, seed, lr)


def tied_lm(kernel: str, seed: int, lr: float) -> AuditCase:
    return case_of(_language_model(), _tokens(), kernel, seed, lr)


def lora(kernel: str, seed: int, lr: float) -> AuditCase:
    from zo_core.models.lora import add_lora_

    module = _language_model()
    add_lora_(module, rank=4, run_seed=_RUN_SEED)
    return case_of(module, _tokens(), kernel, seed, lr)


def cnn_off_grid(seed: int, lr: float) -> AuditCase:
    """Plain mode: the weights are restored up to rounding."""
    module = build_model("cnn", in_channels=1, image_size=8, run_seed=_RUN_SEED)
    return case_of(module, _images(1, 8), "c", seed, lr, on_grid=False)


def wide(kernel: str, seed: int, lr: float) -> AuditCase:
    """A model large enough to see a copy of the weights."""
    from audit_cases import batch
    from audit_cases import wide as build_wide

    return case_of(build_wide(), batch(), kernel, seed, lr)


def torch_optimizer(seed: int, lr: float) -> AuditCase:
    """Make the step of zo_core.torch.ZOSGD."""
    module = build_model("cnn", in_channels=1, image_size=8, run_seed=_RUN_SEED)
    x, y = _images(1, 8)

    def loss() -> torch.Tensor:
        return cross_entropy(module(x), y).mean()

    optimizer = TorchZOSGD(module.named_parameters(), lr=lr, run_seed=seed)
    return AuditCase(module, lambda: optimizer.step(loss), loss)


MODELS = (cnn, vit, tied_lm, lora, wide)
for _make in MODELS:  # cnn_c, cnn_numpy ...: names that a fresh process can import
    for _kernel in KERNELS:
        globals()[f"{_make.__name__}_{_kernel}"] = partial(_make, _kernel)


def _language_model() -> nn.Module:
    from zo_core.models.lm import LMShape, build_lm

    shape = LMShape(
        family="llama",
        width=32,
        layers=2,
        heads=2,
        mlp_width=64,
        vocabulary=256,
        positions=32,
        tied=True,
    )
    return build_lm(shape, run_seed=_RUN_SEED)


def _images(channels: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(16, channels, size, size, generator=generator)
    return x, torch.randint(10, (16,), generator=generator)


def _tokens() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(256, (4, 17), generator=torch.Generator().manual_seed(1))
    return ids[:, :-1], ids[:, 1:]
