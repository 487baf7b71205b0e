"""Zeroth-order steps to audit: one without a fault, and one per fault, each planted on purpose.

Each public function is a factory (seed, lr) that a fresh process can import from here.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from bench.audit import AuditCase

EPSILON = 1e-3
ITEMS, INPUTS, WIDTH, CLASSES = 16, 24, 32, 5


def mlp(*, dropout: float = 0.0, norm: bool = False, width: int = WIDTH) -> nn.Module:
    """Build a small network with the same weights at each call."""
    generator = torch.Generator().manual_seed(1)
    layers: list[nn.Module] = [nn.Linear(INPUTS, width), nn.Tanh(), nn.Linear(width, width)]
    layers += [nn.BatchNorm1d(width)] if norm else []
    layers += [nn.Dropout(dropout)] if dropout else []
    module = nn.Sequential(*layers, nn.Tanh(), nn.Linear(width, width), nn.Linear(width, CLASSES))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(ITEMS, INPUTS, generator=generator)
    return x, torch.randint(CLASSES, (ITEMS,), generator=generator)


@dataclass
class Mezo:
    """MeZO from its description: z from a seed, again for each pass over the weights."""

    module: nn.Module
    loss: Callable[[], torch.Tensor]
    seed: int
    lr: float
    epsilon: float = EPSILON

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield what is perturbed."""
        yield from (p.data for p in self.module.parameters() if p.requires_grad)

    def add(self, scale: float, seed: int | None = None) -> None:
        """Add scale z to the weights, each tensor in place."""
        generator = torch.Generator().manual_seed(self.seed if seed is None else seed)
        for tensor in self.tensors():
            z = torch.empty_like(tensor).normal_(generator=generator)
            tensor.add_(z, alpha=scale)

    @torch.no_grad()
    def step(self) -> None:
        self.add(self.epsilon)
        plus = self.loss()
        self.add(-2 * self.epsilon)
        minus = self.loss()
        self.add(self.epsilon)
        self.update(float(plus - minus) / (2 * self.epsilon))

    def update(self, slope: float) -> None:
        self.add(-self.lr * slope)


def case_of(
    kind: type[Mezo], seed: int, lr: float, module: nn.Module | None = None, **options: Any
) -> AuditCase:
    module = module or mlp()
    x, y = batch()

    def loss() -> torch.Tensor:
        return F.cross_entropy(module(x), y)

    return AuditCase(module, kind(module, loss, seed, lr, **options).step, loss)


def clean(seed: int, lr: float) -> AuditCase:
    print("trainable model size")  # as much public code does
    return case_of(Mezo, seed, lr)


def clean_pair(seed: int, lr: float) -> tuple[nn.Module, Callable[[], None]]:
    case = clean(seed, lr)
    return case.module, case.step  # type: ignore[return-value]


def clean_one_sided(seed: int, lr: float) -> AuditCase:
    class OneSided(Mezo):
        @torch.no_grad()
        def step(self) -> None:
            here = self.loss()
            self.add(self.epsilon)
            there = self.loss()
            self.add(-self.epsilon)
            self.update(float(there - here) / self.epsilon)

    case = case_of(OneSided, seed, lr)
    return AuditCase(case.module, case.step, case.loss, two_sided=False)


def undeclared_one_sided(seed: int, lr: float) -> AuditCase:
    case = clean_one_sided(seed, lr)
    return AuditCase(case.module, case.step, case.loss)


def clean_layer_by_layer(seed: int, lr: float) -> AuditCase:
    """Perturb each layer just before it runs, and restore it just after."""

    class ByLayer(Mezo):
        sign = 0.0

        def layers(self) -> list[nn.Module]:
            return [m for m in self.module.modules() if isinstance(m, nn.Linear)]

        def add_to(self, number: int, layer: nn.Module, scale: float) -> None:
            generator = torch.Generator().manual_seed(1000 * self.seed + number)
            for p in layer.parameters():
                p.data.add_(torch.empty_like(p).normal_(generator=generator), alpha=scale)

        @torch.no_grad()
        def step(self) -> None:
            handles = []
            for number, layer in enumerate(self.layers()):

                def enter(m: nn.Module, _: Any, n: int = number) -> None:
                    self.add_to(n, m, self.sign * self.epsilon)

                def leave(m: nn.Module, _: Any, __: Any, n: int = number) -> None:
                    self.add_to(n, m, -self.sign * self.epsilon)

                before = layer.register_forward_pre_hook(enter, prepend=True)
                handles += [before, layer.register_forward_hook(leave)]
            self.sign = 1.0
            plus = self.loss()
            self.sign = -1.0
            minus = self.loss()
            for handle in handles:
                handle.remove()
            slope = float(plus - minus) / (2 * self.epsilon)
            for number, layer in enumerate(self.layers()):
                self.add_to(number, layer, -self.lr * slope)

    return case_of(ByLayer, seed, lr)


def clean_functional(seed: int, lr: float) -> AuditCase:
    """Never write the noise to the weights: several perturbed copies in one vmap."""
    module, (x, y) = mlp(), batch()
    weights = dict(module.named_parameters())

    def lost(changed: dict[str, torch.Tensor]) -> torch.Tensor:
        return F.cross_entropy(torch.func.functional_call(module, changed, (x,)), y)

    @torch.no_grad()
    def step() -> None:
        generator = torch.Generator().manual_seed(seed)
        z = {n: torch.empty_like(p).normal_(generator=generator) for n, p in weights.items()}
        both = {
            n: torch.stack([p + EPSILON * z[n], p - EPSILON * z[n]]) for n, p in weights.items()
        }
        plus, minus = torch.vmap(lost)(both)
        for name, p in weights.items():
            p.add_(z[name], alpha=-lr * float(plus - minus) / (2 * EPSILON))

    return AuditCase(module, step, lambda: F.cross_entropy(module(x), y))


def clean_momentum(seed: int, lr: float) -> AuditCase:
    """Turn the update on purpose, and declare it."""

    class Turned(Mezo):
        def update(self, slope: float) -> None:
            super().update(slope)
            self.add(-self.lr, seed=123)

    case = case_of(Turned, seed, lr)
    return AuditCase(case.module, case.step, case.loss, plain_update=False)


# One fault per check.


def fault_a(seed: int, lr: float) -> AuditCase:
    """Update along another direction in large tensors: drawn row by row."""

    class RowByRow(Mezo):
        def update(self, slope: float) -> None:
            generator = torch.Generator().manual_seed(self.seed)
            for tensor in self.tensors():
                for part in tensor if tensor.numel() > 1000 else [tensor]:
                    z = torch.randn(part.shape, generator=generator)
                    part.add_(z, alpha=-self.lr * slope)

    return case_of(RowByRow, seed, lr, mlp(width=36))


def fault_a_seeded_per_tensor(seed: int, lr: float) -> AuditCase:
    """Seed the generator again for each tensor, in the update only."""

    class SeededPerTensor(Mezo):
        def update(self, slope: float) -> None:
            for tensor in self.tensors():
                generator = torch.Generator().manual_seed(self.seed)
                z = torch.empty_like(tensor).normal_(generator=generator)
                tensor.add_(z, alpha=-self.lr * slope)

    return case_of(SeededPerTensor, seed, lr)


def fault_b(seed: int, lr: float) -> AuditCase:
    """A sign error: ascent."""

    class Ascent(Mezo):
        def update(self, slope: float) -> None:
            super().update(-slope)

    return case_of(Ascent, seed, lr)


def fault_c(seed: int, lr: float) -> AuditCase:
    """Go back by 1.5 instead of 2, and restore what is left."""

    class Lopsided(Mezo):
        @torch.no_grad()
        def step(self) -> None:
            self.add(self.epsilon)
            plus = self.loss()
            self.add(-1.5 * self.epsilon)
            minus = self.loss()
            self.add(0.5 * self.epsilon)
            self.update(float(plus - minus) / (1.5 * self.epsilon))

    return case_of(Lopsided, seed, lr)


def fault_d(seed: int, lr: float) -> AuditCase:
    """Forget to restore."""

    class NotRestored(Mezo):
        def update(self, slope: float) -> None:
            self.add(-self.epsilon - self.lr * slope)

    return case_of(NotRestored, seed, lr)


def fault_d_rate(seed: int, lr: float) -> AuditCase:
    """A rate of its own for the biases."""

    class OwnRate(Mezo):
        def update(self, slope: float) -> None:
            super().update(slope)
            for tensor in self.tensors():
                if tensor.ndim == 1:
                    tensor.sub_(1e-4 * slope)

    return case_of(OwnRate, seed, lr)


def fault_e(seed: int, lr: float) -> AuditCase:
    """The same direction in tensors of one shape."""

    class Reseeded(Mezo):
        def add(self, scale: float, seed: int | None = None) -> None:
            for tensor in self.tensors():
                generator = torch.Generator().manual_seed(self.seed)
                tensor.add_(torch.empty_like(tensor).normal_(generator=generator), alpha=scale)

    return case_of(Reseeded, seed, lr)


def fault_f(seed: int, lr: float) -> AuditCase:
    """Perturb bfloat16 weights by less than they resolve."""
    module = mlp().to(torch.bfloat16)
    x, y = batch()

    def loss() -> torch.Tensor:
        return F.cross_entropy(module(x.to(torch.bfloat16)).float(), y)

    return AuditCase(module, Mezo(module, loss, seed, lr, epsilon=3e-4).step, loss)


def fault_g(seed: int, lr: float) -> AuditCase:
    """Leave dropout on."""
    return case_of(Mezo, seed, lr, mlp(dropout=0.3))


def fault_g_norm(seed: int, lr: float) -> AuditCase:
    """Let forwards move batch norm's statistics."""
    return case_of(Mezo, seed, lr, mlp(norm=True))


class Tied(nn.Module):
    """An embedding that is also the output layer, between two layers of the same size."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.embedding = nn.Embedding(40, 32)
        self.inner = nn.Linear(32, 40, bias=False)
        self.back = nn.Linear(40, 32, bias=False)
        self.head = nn.Linear(32, 40, bias=False)
        self.head.weight = self.embedding.weight
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.back(torch.tanh(self.inner(self.embedding(ids))))))


def tied(seed: int, lr: float, kind: type[Mezo] = Mezo) -> AuditCase:
    module = Tied()
    ids = torch.arange(24)

    def loss() -> torch.Tensor:
        return F.cross_entropy(module(ids), (ids + 1) % 40)

    return AuditCase(module, kind(module, loss, seed, lr).step, loss)


def fault_h(seed: int, lr: float) -> AuditCase:
    """Walk over all names, so that a tied tensor is perturbed twice."""

    class ByName(Mezo):
        def tensors(self) -> Iterator[torch.Tensor]:
            named = self.module.named_parameters(remove_duplicate=False)
            yield from (p.data for _, p in named)

    return tied(seed, lr, ByName)


def fault_i(seed: int, lr: float) -> AuditCase:
    """Draw from torch's global generator."""

    class Global(Mezo):
        def add(self, scale: float, seed: int | None = None) -> None:
            torch.manual_seed(self.seed if seed is None else seed)
            for tensor in self.tensors():
                tensor.add_(torch.randn(tensor.shape), alpha=scale)

    return case_of(Global, seed, lr)


def fault_i_numpy(seed: int, lr: float) -> AuditCase:
    """Draw a seed from NumPy's global generator and Python's."""

    class Drawn(Mezo):
        def step(self) -> None:
            np.random.randint(10)
            random.random()
            super().step()

    return case_of(Drawn, seed, lr)


def fault_i_frozen(seed: int, lr: float) -> AuditCase:
    """Move a frozen parameter."""
    case = clean(seed, lr)
    frozen = next(case.module.parameters()).requires_grad_(False)

    def step() -> None:
        case.step()
        frozen.data.add_(1e-3)

    return AuditCase(case.module, step, case.loss)


def fault_j(seed: int, lr: float) -> AuditCase:
    """Seed by what differs between processes."""
    return case_of(Mezo, seed + 1 + os.getpid(), lr)


def fault_j_threads(seed: int, lr: float) -> AuditCase:
    """Seed by the number of threads."""
    return case_of(Mezo, 1000 * seed + torch.get_num_threads(), lr)


class CopyOfAll(Mezo):
    """Keep a copy of all weights to restore them from."""

    def step(self) -> None:
        kept = [tensor.clone() for tensor in self.tensors()]
        super().step()
        del kept


class ArrayOfAll(Mezo):
    """The same in NumPy."""

    def step(self) -> None:
        kept = [tensor.numpy().copy() for tensor in self.tensors()]
        super().step()
        del kept


def wide(depth: int = 12, width: int = 320) -> nn.Module:
    module = nn.Sequential(
        nn.Linear(INPUTS, width), *(nn.Linear(width, width) for _ in range(depth))
    )
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) / width**0.5)
    return module


def clean_wide(seed: int, lr: float) -> AuditCase:
    return case_of(Mezo, seed, lr, wide())


def fault_k(seed: int, lr: float) -> AuditCase:
    return case_of(CopyOfAll, seed, lr, wide())


def fault_k_numpy(seed: int, lr: float) -> AuditCase:
    return case_of(ArrayOfAll, seed, lr, wide())


def fault_l(seed: int, lr: float) -> AuditCase:
    """Compute the losses in bfloat16."""
    case = clean(seed, lr)
    x, y = batch()

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return F.cross_entropy(case.module(x).float(), y)

    return AuditCase(case.module, Mezo(case.module, loss, seed, lr).step, loss)


def fault_l_flag(seed: int, lr: float) -> AuditCase:
    """Leave a lower matmul precision behind."""
    case = clean(seed, lr)

    def step() -> None:
        torch.set_float32_matmul_precision("medium")
        case.step()

    return AuditCase(case.module, step, case.loss)


def broken_step(seed: int, lr: float) -> AuditCase:
    return AuditCase(mlp(), lambda: 1 / 0)
