"""Packages of the Python index, each as a factory (seed, lr) for ``zobench audit``."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from problem import EPSILON, Problem, batch
from torch.nn import functional as F

from bench.audit import AuditCase


def mezo(seed: int, lr: float) -> AuditCase:
    """Take one step of mezo.update."""
    from mezo import update

    module, (x, y) = Problem(), batch()

    def step() -> None:
        update(
            module,
            (x, y),
            lambda model, inputs: model(*inputs),
            epsilon=EPSILON,
            learning_rate=lr,
            random_seed=seed,
        )

    return AuditCase(module, step, lambda: module(x, y))


def torcheggroll(seed: int, lr: float) -> AuditCase:
    """Take one step of a population of four; its epoch is its seed."""
    from torcheggroll import TorchEggrollES

    module, (x, y) = Problem(), batch()
    trainer = TorchEggrollES(module, pop_size=4, sigma=EPSILON, lr=lr)
    trainer.epoch = seed
    return AuditCase(module, lambda: trainer.step(x, F.cross_entropy, y), lambda: module(x, y))


def eggroll_es(seed: int, lr: float) -> AuditCase:
    """Evolve for one generation of two directions, each with its mirror image."""
    from eggroll import EggrollConfig, EggrollTrainer

    module, (x, y) = Problem(), batch()
    config = EggrollConfig(
        population_size=2, rank=2, sigma=EPSILON, lr=lr, generations=1, device="cpu", seed=seed
    )
    trainer = EggrollTrainer(module, config, lambda model, _: -float(model(x, y)))
    return AuditCase(module, lambda: trainer.evolve([x]), lambda: module(x, y))


def zosolvers(seed: int, lr: float) -> AuditCase:
    """Take one central Gaussian step on the flat vector of all weights, in its float64."""
    from ZoSolvers.minimisation import ZO_gauss_min

    module, (x, y) = Problem().double(), batch()
    parameters = list(module.parameters())

    def put(flat: np.ndarray[Any, Any]) -> None:
        torch.nn.utils.vector_to_parameters(torch.from_numpy(flat.copy()), parameters)

    @torch.no_grad()
    def loss(flat: np.ndarray[Any, Any]) -> float:
        put(flat)
        return float(module(x.double(), y))

    def step() -> None:
        start = torch.nn.utils.parameters_to_vector(parameters).detach().numpy().copy()
        solver = ZO_gauss_min(loss, start, h=lr, mu=EPSILON)
        put(solver.step(start, "center", 1))

    np.random.seed(seed)
    return AuditCase(module, step, lambda: module(x.double(), y))


def torchzero_spsa(seed: int, lr: float) -> AuditCase:
    """Take one step of torchzero's SPSA: central differences along signs."""
    import torchzero

    return _torchzero(torchzero.m.SPSA(h=EPSILON, seed=seed), lr)


def torchzero_rdsa(seed: int, lr: float) -> AuditCase:
    """Take one step of torchzero's RDSA: the same along Gaussian directions."""
    import torchzero

    return _torchzero(torchzero.m.RDSA(h=EPSILON, seed=seed), lr)


def torchzero_mezo(seed: int, lr: float) -> AuditCase:
    """Take one step of torchzero's MeZO, which numbers its seeds by its steps."""
    import torchzero

    return _torchzero(torchzero.m.MeZO(h=EPSILON), lr, step=seed)


def _torchzero(estimator: Any, lr: float, step: int = 0) -> AuditCase:
    import torchzero

    module, (x, y) = Problem(), batch()
    optimizer = torchzero.Optimizer(module.parameters(), estimator, torchzero.m.LR(lr))
    optimizer.current_step = step

    def closure(backward: bool = True) -> torch.Tensor:
        return module(x, y)

    return AuditCase(module, lambda: optimizer.step(closure), lambda: module(x, y))


def zotitan(seed: int, lr: float) -> AuditCase:
    """Take one step of zotitan's plain MeZO; its kernel runs in Triton's interpreter on a CPU."""
    return _zotitan(seed, lr, "gaussian")


def zotitan_low_rank(seed: int, lr: float) -> AuditCase:
    """Take one step with zotitan's low-rank perturbation."""
    return _zotitan(seed, lr, "low_rank")


def zotitan_polar(seed: int, lr: float) -> AuditCase:
    """Take one step with zotitan's polar perturbation."""
    return _zotitan(seed, lr, "polar")


def _zotitan(seed: int, lr: float, distribution: str) -> AuditCase:
    os.environ.update(TRITON_INTERPRET="1", TORCHDYNAMO_DISABLE="1")
    from types import SimpleNamespace

    from zotitan.schedule import BaseTrainConfig
    from zotitan.train_zo import PerturbationConfig, ZOConfig, ZOOptimizer

    module, (x, y) = Problem(width=68), batch()  # the interpreter is slow
    config = ZOConfig(
        base=BaseTrainConfig(lr=lr),
        eps=EPSILON,
        perturbation=PerturbationConfig(distribution=distribution, rank=16),
    )
    named = list(module.named_parameters())

    def score(model: Any, inputs: Any) -> SimpleNamespace:
        return SimpleNamespace(value=model(*inputs), metrics={})

    optimizer = ZOOptimizer(named, config, score)
    optimizer._seed_ctr = seed
    return AuditCase(module, lambda: optimizer.step(module, [(x, y)]), lambda: module(x, y))


def mezo_paper(seed: int, lr: float) -> AuditCase:
    """MeZO written from Algorithm 1 of Malladi et al., arXiv 2305.17333: no package."""
    module, (x, y) = Problem(), batch()

    def perturb(scale: float) -> None:
        torch.manual_seed(seed)  # "Reset random number generator with seed s"
        for weight in module.parameters():
            weight.add_(torch.randn(weight.shape), alpha=scale)

    @torch.no_grad()
    def step() -> None:
        perturb(EPSILON)
        plus = module(x, y)
        perturb(-2 * EPSILON)
        minus = module(x, y)
        perturb(EPSILON)
        perturb(-lr * float(plus - minus) / (2 * EPSILON))

    return AuditCase(module, step, lambda: module(x, y))
