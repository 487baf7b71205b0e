"""Zeroth-order steps that are right in unusual ways: an audit that fails one is wrong.

Each public function is a factory (seed, lr), as in audit_cases.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from audit_cases import Mezo, batch, case_of, mlp
from torch import nn
from torch.autograd import forward_ad
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from bench.audit import AuditCase

Tensors = list[torch.Tensor]


class Unusual(Mezo):
    """Estimates along fresh directions, by helpers that the variants replace."""

    directions = 1

    def drawn(self, number: int = 0) -> Tensors:
        """Draw a direction for each tensor."""
        generator = torch.Generator().manual_seed(1000 * self.seed + number)
        return [torch.empty_like(t).normal_(generator=generator) for t in self.tensors()]

    def move(self, z: Tensors, scale: float) -> None:
        for tensor, direction in zip(self.tensors(), z, strict=True):
            tensor.add_(direction, alpha=scale)

    def slope(self, z: Tensors) -> float:
        self.move(z, self.epsilon)
        plus = self.loss()
        self.move(z, -2 * self.epsilon)
        minus = self.loss()
        self.move(z, self.epsilon)
        return float(plus - minus) / (2 * self.epsilon)

    @torch.no_grad()
    def step(self) -> None:
        for number in range(self.directions):
            z = self.drawn(number)
            self.move(z, -self.lr * self.slope(z))


def several_estimates(seed: int, lr: float) -> AuditCase:
    """Update after each of several directions, so that the later ones start elsewhere."""

    class Sequential(Unusual):
        directions = 3

    return case_of(Sequential, seed, lr)


def block_by_block(seed: int, lr: float) -> AuditCase:
    """Perturb and update one tensor after the other, in bfloat16."""

    class Blocks(Unusual):
        def slope(self, z: Tensors) -> float:
            own, losses = [tensor.clone() for tensor in self.tensors()], []
            for side in (1.0, -1.0):
                self.move(z, side * self.epsilon)
                losses.append(float(self.loss()))
                for tensor, start in zip(self.tensors(), own, strict=True):
                    tensor.copy_(start)
            return (losses[0] - losses[1]) / (2 * self.epsilon)

        @torch.no_grad()
        def step(self) -> None:
            for number in range(len(list(self.tensors()))):
                z = [d * (n == number) for n, d in enumerate(self.drawn(number))]
                self.move(z, -self.lr * self.slope(z))

    module = mlp().to(torch.bfloat16)
    x, y = batch()

    def loss() -> torch.Tensor:
        return F.cross_entropy(module(x.to(torch.bfloat16)).float(), y)

    return AuditCase(module, Blocks(module, loss, seed, lr, epsilon=0.03).step, loss)


def antithetic_pairs(seed: int, lr: float) -> AuditCase:
    """Visit all points, then update by the mean of their estimates."""

    class Population(Unusual):
        directions = 4

        @torch.no_grad()
        def step(self) -> None:
            drawn = [self.drawn(number) for number in range(self.directions)]
            slopes = [self.slope(z) for z in drawn]
            for z, slope in zip(drawn, slopes, strict=True):
                self.move(z, -self.lr * slope / self.directions)

    return case_of(Population, seed, lr)


def one_sided_population(seed: int, lr: float) -> AuditCase:
    """Compare several points with the start, and divide by the losses' deviation."""

    class OneSided(Unusual):
        directions = 4

        @torch.no_grad()
        def step(self) -> None:
            here, drawn, gaps = self.loss(), [self.drawn(n) for n in range(self.directions)], []
            for z in drawn:
                self.move(z, self.epsilon)
                gaps.append(self.loss() - here)
                self.move(z, -self.epsilon)
            deviation = float(torch.stack(gaps).std())
            for z, gap in zip(drawn, gaps, strict=True):
                self.move(z, -self.lr * float(gap) / deviation)

    case = case_of(OneSided, seed, lr)
    return AuditCase(case.module, case.step, case.loss, two_sided=False)


def loss_at_the_end(seed: int, lr: float) -> AuditCase:
    """Compute the loss once more where rounding left the weights."""

    class Reporting(Unusual):
        def slope(self, z: Tensors) -> float:
            found = super().slope(z)
            self.loss()
            return found

    return case_of(Reporting, seed, lr)


def foreach(seed: int, lr: float) -> AuditCase:
    """Change all tensors by one horizontally fused call, under inference mode."""

    class Fused(Unusual):
        def move(self, z: Tensors, scale: float) -> None:
            torch._foreach_add_(list(self.tensors()), z, alpha=scale)

        def step(self) -> None:
            with torch.inference_mode():
                z = self.drawn()
                self.move(z, -self.lr * self.slope(z))

    return case_of(Fused, seed, lr)


def flat_vector(seed: int, lr: float) -> AuditCase:
    """Work on one vector, of which the parameters become views."""

    class Flat(Unusual):
        @torch.no_grad()
        def step(self) -> None:
            parameters = list(self.module.parameters())
            start = parameters_to_vector(parameters)
            z = torch.randn(start.shape, generator=torch.Generator().manual_seed(self.seed))
            losses = []
            for side in (1.0, -1.0):
                vector_to_parameters(start + side * self.epsilon * z, parameters)
                losses.append(self.loss())
            slope = float(losses[0] - losses[1]) / (2 * self.epsilon)
            vector_to_parameters(start - self.lr * slope * z, parameters)

    return case_of(Flat, seed, lr)


def swapped_copies(seed: int, lr: float) -> AuditCase:
    """Put perturbed copies into the parameters, and the originals back."""

    class Swapped(Unusual):
        @torch.no_grad()
        def step(self) -> None:
            z, own, losses = self.drawn(), [p.data for p in self.module.parameters()], []
            for side in (1.0, -1.0):
                for p, start, direction in zip(self.module.parameters(), own, z, strict=True):
                    p.data = start + side * self.epsilon * direction
                losses.append(self.loss())
            for p, start in zip(self.module.parameters(), own, strict=True):
                p.data = start
            self.move(z, -self.lr * float(losses[0] - losses[1]) / (2 * self.epsilon))

    return case_of(Swapped, seed, lr)


def new_parameters(seed: int, lr: float) -> AuditCase:
    """Replace the parameters by new ones, which need no gradient."""

    class Replaced(Unusual):
        def step(self) -> None:
            super().step()
            for layer in self.module.modules():
                for name, p in list(layer.named_parameters(recurse=False)):
                    setattr(layer, name, nn.Parameter(p.detach().clone(), requires_grad=False))

    return case_of(Replaced, seed, lr)


def _called(module: nn.Module, weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
    x, y = batch()
    return F.cross_entropy(torch.func.functional_call(module, dict(weights), (x,)), y)


def functional_call(seed: int, lr: float) -> AuditCase:
    """Pass perturbed weights to the call, without vmap."""

    class Functional(Unusual):
        @torch.no_grad()
        def step(self) -> None:
            z = dict(zip(dict(self.module.named_parameters()), self.drawn(), strict=True))
            own = {name: p.detach() for name, p in self.module.named_parameters()}
            plus, minus = (
                _called(self.module, {n: w + side * self.epsilon * z[n] for n, w in own.items()})
                for side in (1.0, -1.0)
            )
            scale = -self.lr * float(plus - minus) / (2 * self.epsilon)
            for name, weight in own.items():
                weight.add_(z[name], alpha=scale)

    return case_of(Functional, seed, lr)


def copies_of_the_module(seed: int, lr: float) -> AuditCase:
    """Perturb deep copies of the module."""

    class Copies(Unusual):
        @torch.no_grad()
        def step(self) -> None:
            x, y = batch()
            z, losses = self.drawn(), []
            for side in (1.0, -1.0):
                other = copy.deepcopy(self.module)
                for p, direction in zip(other.parameters(), z, strict=True):
                    p.add_(direction, alpha=side * self.epsilon)
                losses.append(F.cross_entropy(other(x), y))
            self.move(z, -self.lr * float(losses[0] - losses[1]) / (2 * self.epsilon))

    return case_of(Copies, seed, lr)


class Noisy(nn.Linear):
    """Adds its noise inside the forward, so that the weights never show it."""

    seed, scale = 0, 0.0

    def noise(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(self.weight.shape, generator=generator).to(self.weight.dtype)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.linear(input, self.weight + self.scale * self.noise(), self.bias)


def noise_in_the_layer(seed: int, lr: float) -> AuditCase:
    """Keep the noise in the layers, in bfloat16."""
    generator = torch.Generator().manual_seed(1)
    layers = [Noisy(24, 32), Noisy(32, 5)]
    module = nn.Sequential(layers[0], nn.Tanh(), layers[1]).to(torch.bfloat16)
    x, y = batch()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(0.2 * torch.randn(p.shape, generator=generator))

    def loss() -> torch.Tensor:
        return F.cross_entropy(module(x.to(torch.bfloat16)).float(), y)

    @torch.no_grad()
    def step() -> None:
        losses = []
        for side in (0.05, -0.05):
            for number, layer in enumerate(layers):
                layer.seed, layer.scale = 10 * seed + number, side
            losses.append(loss())
        for layer in layers:
            layer.scale = 0.0
            layer.weight.add_(layer.noise(), alpha=-lr * float(losses[0] - losses[1]) / 0.1)

    return AuditCase(module, step, loss)


def tangents(seed: int, lr: float) -> AuditCase:
    """Take the directional derivative by forward-mode differentiation, in bfloat16."""
    module = mlp().to(torch.bfloat16)
    x, y = batch()
    x = x.to(torch.bfloat16)

    def step() -> None:
        generator = torch.Generator().manual_seed(seed)
        own = {name: p.detach() for name, p in module.named_parameters()}
        z = {n: torch.empty_like(w).normal_(generator=generator) for n, w in own.items()}
        with torch.no_grad(), forward_ad.dual_level():
            duals = {name: forward_ad.make_dual(w, z[name]) for name, w in own.items()}
            scores = torch.func.functional_call(module, duals, (x,))
            slope = forward_ad.unpack_dual(F.cross_entropy(scores.float(), y)).tangent
        for name, weight in own.items():
            weight.add_(z[name], alpha=-lr * float(slope))

    return AuditCase(module, step, lambda: F.cross_entropy(module(x).float(), y))


def seeded_in_the_forward(seed: int, lr: float) -> AuditCase:
    """Draw each layer's noise from the global generator, seeded again in every forward."""

    class Seeded(Unusual):
        @torch.no_grad()
        def step(self) -> None:
            layers = [m for m in self.module.modules() if isinstance(m, nn.Linear)]
            losses = []
            for side in (1.0, -1.0):
                with _hooked(layers, self.seed, side * self.epsilon):
                    losses.append(self.loss())
            slope = float(losses[0] - losses[1]) / (2 * self.epsilon)
            state = torch.get_rng_state()
            for number, layer in enumerate(layers):
                _add(layer, self.seed, number, -self.lr * slope)
            torch.set_rng_state(state)

    return case_of(Seeded, seed, lr)


class _hooked:  # noqa: N801
    """Perturb each layer before it runs and restore it after."""

    def __init__(self, layers: list[nn.Linear], seed: int, scale: float) -> None:
        self.layers, self.seed, self.scale = layers, seed, scale
        self.handles: list[Any] = []

    def __enter__(self) -> None:
        for number, layer in enumerate(self.layers):
            for register, sign in (
                (layer.register_forward_pre_hook, 1.0),
                (layer.register_forward_hook, -1.0),
            ):
                hook = self._hook(number, sign * self.scale)
                options = {"prepend": True} if sign > 0 else {}
                self.handles.append(register(hook, **options))

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _hook(self, number: int, scale: float) -> Callable[..., None]:
        return lambda layer, *_: _add(layer, self.seed, number, scale)


def _add(layer: nn.Module, seed: int, number: int, scale: float) -> None:
    torch.manual_seed(1000 * seed + number)
    for p in layer.parameters():
        p.data.add_(torch.randn(p.shape), alpha=scale)


def dropout_of_a_direction(seed: int, lr: float) -> AuditCase:
    """Let both forwards of a direction draw the same dropout mask."""

    class Masked(Unusual):
        directions = 2

        def slope(self, z: Tensors) -> float:
            own, losses, state = self.loss, [], torch.get_rng_state()
            for scale in (self.epsilon, -2 * self.epsilon):
                self.move(z, scale)
                torch.set_rng_state(state)
                losses.append(own())
            self.move(z, self.epsilon)
            return float(losses[0] - losses[1]) / (2 * self.epsilon)

    return case_of(Masked, seed, lr, mlp(dropout=0.3))


def adam(seed: int, lr: float) -> AuditCase:
    """Scale each weight's step by its own second moment, with decay; declared."""

    class Adam(Unusual):
        @torch.no_grad()
        def step(self) -> None:
            z = self.drawn()
            slope = self.slope(z)
            for tensor, direction in zip(self.tensors(), z, strict=True):
                moment = (slope * direction).square().mul_(0.1).add_(1e-8).sqrt_()
                tensor.mul_(1 - 0.01 * self.lr)
                tensor.addcdiv_(direction, moment, value=-self.lr * slope)

    case = case_of(Adam, seed, lr)
    return AuditCase(case.module, case.step, case.loss, plain_update=False)


def weight_decay(seed: int, lr: float) -> AuditCase:
    """Decay the weights by more than the estimate moves them; not declared."""

    class Decayed(Unusual):
        @torch.no_grad()
        def step(self) -> None:
            z = self.drawn()
            slope = self.slope(z)
            for tensor in self.tensors():
                tensor.mul_(1 - 0.01 * self.lr)
            self.move(z, -self.lr * slope)

    return case_of(Decayed, seed, lr)


def signs(seed: int, lr: float) -> AuditCase:
    """Move by the sign of the estimate, along signs."""

    class Signs(Unusual):
        def drawn(self, number: int = 0) -> Tensors:
            return [z.sign() for z in super().drawn(number)]

        @torch.no_grad()
        def step(self) -> None:
            z = self.drawn()
            self.move(z, -self.lr * (1.0 if self.slope(z) > 0 else -1.0))

    return case_of(Signs, seed, lr)


def no_gradients(seed: int, lr: float) -> AuditCase:
    """Switch gradients off for good, since no step needs them."""

    class Off(Unusual):
        def tensors(self) -> Iterator[torch.Tensor]:
            yield from (p.data for p in self.module.parameters())

        def step(self) -> None:
            self.module.requires_grad_(False)
            super().step()

    return case_of(Off, seed, lr)
