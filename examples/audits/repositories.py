"""Public research code that is no package, each as a factory (seed, lr) for ``zobench audit``.

The folders that DECOMFL and ZO_MUON name are clones at the commits in run.sh.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from problem import EPSILON, Problem, batch
from torch.nn import functional as F

from bench.audit import AuditCase

DEFAULTS = {  # of ZO-Muon's vit/zo_train.py
    "weight_decay": 0,
    "rank_r": 16,
    "step_interval": 100,
    "num_samples": 1,
    "multiple_sample": False,
    "sparsity": 0.8,
    "n_gpu": 1,
}


def decomfl(seed: int, lr: float) -> AuditCase:
    """Take DeComFL's central estimate with one flat perturbation, its default."""
    return _decomfl(seed, lr, paramwise_perturb=False)


def decomfl_paramwise(seed: int, lr: float) -> AuditCase:
    """Take DeComFL's central estimate, perturbed parameter by parameter."""
    return _decomfl(seed, lr, paramwise_perturb=True)


def decomfl_hessian(seed: int, lr: float) -> AuditCase:
    """Take the estimate of HessianRandomGradientEstimator, which a diagonal Hessian turns."""
    _find("DECOMFL")
    from cezo_fl.gradient_estimators.hessian_random_gradient_estimator import (
        HessianRandomGradientEstimator,
    )

    return _estimated(HessianRandomGradientEstimator, seed, lr, {}, {"plain_update": False})


def decomfl_adam_forward(seed: int, lr: float) -> AuditCase:
    """Take the one-sided estimate of AdamForwardGradientEstimatorBatch."""
    _find("DECOMFL")
    from cezo_fl.gradient_estimators.adam_forward import AdamForwardGradientEstimatorBatch

    return _estimated(AdamForwardGradientEstimatorBatch, seed, lr, {}, {"two_sided": False})


def _decomfl(seed: int, lr: float, *, paramwise_perturb: bool) -> AuditCase:
    _find("DECOMFL")
    from cezo_fl.gradient_estimators.random_gradient_estimator import RandomGradientEstimator

    options = {"paramwise_perturb": paramwise_perturb}
    return _estimated(RandomGradientEstimator, seed, lr, options, {})


def _estimated(
    kind: Any, seed: int, lr: float, options: dict[str, Any], declared: dict[str, bool]
) -> AuditCase:
    """Make a case of an estimator of DeComFL that fills .grad for torch's SGD."""
    module, (x, y) = Problem(), batch()
    estimator = kind(module.parameters(), mu=EPSILON, num_pert=1, device="cpu", **options)
    optimizer = torch.optim.SGD(module.parameters(), lr=lr)

    @torch.no_grad()
    def step() -> None:
        estimator.compute_grad(x, y, lambda x, y: F.cross_entropy(module(x), y), seed + 1)
        optimizer.step()

    return AuditCase(module, step, lambda: module(x, y), **declared)


def zo_muon_mezo(seed: int, lr: float) -> AuditCase:
    """Take a step of MeZOOptimizer."""
    return _zo_muon("MeZOOptimizer", seed, lr)


def zo_muon_sparse(seed: int, lr: float) -> AuditCase:
    """Take a step of SparseOptimizer."""
    return _zo_muon("SparseOptimizer", seed, lr)


def zo_muon_hessian(seed: int, lr: float) -> AuditCase:
    """Take a step of HessianOptimizer: its first, at which the Hessian is still 1."""
    return _zo_muon("HessianOptimizer", seed, lr)


def zo_muon_lozo_1(seed: int, lr: float) -> AuditCase:
    """Take the first step of LOZOOptimizer."""
    return _zo_muon("LOZOOptimizer", seed, lr)


def zo_muon_lozo_2(seed: int, lr: float) -> AuditCase:
    """Take the second step of LOZOOptimizer."""
    return _zo_muon("LOZOOptimizer", seed, lr, at={"step": 1})


def zo_muon_lozo_100(seed: int, lr: float) -> AuditCase:
    """Take a step of LOZOOptimizer that draws a new factor: every 100th by default."""
    return _zo_muon("LOZOOptimizer", seed, lr, at={"step": 99})


def zo_muon_subzero_1(seed: int, lr: float) -> AuditCase:
    """Take the first step of SubZeroOptimizer."""
    return _zo_muon("SubZeroOptimizer", seed, lr)


def zo_muon_subzero_100(seed: int, lr: float) -> AuditCase:
    """Take a step of SubZeroOptimizer that computes new factors: every 100th by default."""
    return _zo_muon("SubZeroOptimizer", seed, lr, at={"step_curr": 99})


def zo_muon_lowdim_1(seed: int, lr: float) -> AuditCase:
    """Take the first step of LowDimOptimizer with its plain update."""
    return _zo_muon("LowDimOptimizer", seed, lr)


def zo_muon_lowdim_2(seed: int, lr: float) -> AuditCase:
    """Take the second step of LowDimOptimizer with its plain update."""
    return _zo_muon("LowDimOptimizer", seed, lr, at={"step_curr": 1})


def zo_muon_lowdim_muon_2(seed: int, lr: float) -> AuditCase:
    """Take the second step of LowDimOptimizer with the orthogonalised update, the paper's."""
    return _zo_muon("LowDimOptimizer", seed, lr, zo_optimizer="muon", at={"step_curr": 1})


def _zo_muon(
    kind: str,
    seed: int,
    lr: float,
    *,
    zo_optimizer: str = "sgd",
    at: Mapping[str, int] | None = None,
) -> AuditCase:
    """Make a case of one of vit/zo_optimizer.py's classes, at the defaults of vit/zo_train.py.

    A step other than the first follows an estimate, which draws what is drawn once.
    """
    _find("ZO_MUON", "vit")
    for name in ("torch.utils.tensorboard", "utils.data_utils"):  # imported there, not used here
        stub: Any = sys.modules.setdefault(name, ModuleType(name))
        stub.SummaryWriter = stub.get_loader = None
    import zo_optimizer as public

    module, (x, y) = Problem(), batch()
    options = Namespace(zo_eps=EPSILON, learning_rate=lr, zo_optimizer=zo_optimizer, **DEFAULTS)
    optimizer = getattr(public, kind)(module, options)
    np.random.seed(seed)
    if at:
        start = {name: value.clone() for name, value in module.state_dict().items()}
        optimizer.zo_step(x, y)
        module.load_state_dict(start)
        vars(optimizer).update(at)

    def step() -> None:
        optimizer.zo_step(x, y)
        optimizer.zo_update()

    return AuditCase(module, step, lambda: module(x, y), plain_update=zo_optimizer == "sgd")


def _find(variable: str, folder: str = "") -> None:
    """Let a clone be imported from."""
    path = str(Path(os.environ[variable]) / folder)
    if path not in sys.path:
        sys.path.insert(0, path)
