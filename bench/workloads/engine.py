"""The engine's micro-benchmarks, each run in a fresh process: passes against a scalar add.

A pass over the weights cannot be faster than memory, so each operation is timed beside torch's
in-place scalar add over as many floats, turn by turn in the same process; the ratio is the figure.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import devices
from bench.workloads.timing import take_turns

if TYPE_CHECKING:
    import torch

_SEED, _SCALE = 0x5EED, 1e-4
_REPLAYED = (30, 150)  # directions: S = 3 with 10 and with 50 clients
# One pass takes milliseconds, which another process can double: of these calls the fastest counts.
_CALLS = dict.fromkeys(("add", "perturb", "restore_perturb"), 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridRestore:
    """What perturbing and restoring on the grid left."""

    changed: int  # weights whose bits differ
    digest: str  # hex, after one more update of 30 fixed scalars


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRestore:
    """How far plain weights drift."""

    changed: float  # share of weights that differ
    relative_l2: float  # drift relative to their norm
    effect: float  # share of weights that one perturbation changes at all


def time_passes(parameters: int, threads: int, repeats: int) -> dict[str, list[float]]:
    """Time each operation over one flat tensor.

    Args:
        parameters: float32 weights.
        threads: CPU threads of torch and of the kernels.
        repeats: turns; one more comes first, unmeasured.

    Returns:
        Seconds of each turn by operation.
    """
    import torch

    from zo_core import kernels
    from zo_core import parameters as number

    torch.set_num_threads(threads)
    weights = torch.linspace(-0.05, 0.05, parameters)
    numbered = number([weights])
    operations: dict[str, Callable[[], object]] = {
        "add": lambda: weights.add_(1e-9),
        "perturb": lambda: kernels.perturb(numbered, [(_SEED, _SCALE)]),
        "restore_perturb": lambda: kernels.perturb(
            numbered, [(_SEED, -_SCALE), (_SEED + 1, _SCALE)]
        ),
    }
    for n in _REPLAYED:
        operations[f"replay_{n}"] = _replay(numbered, n)
    return take_turns(operations, repeats, calls=_CALLS)


def time_model_passes(repeats: int) -> dict[str, list[float]]:
    """Time one perturbation of ResNet18's 62 tensors by ours, by MeZO's way and by torch's signs.

    "mezo" draws torch.normal for each tensor and builds w + scale * z * eps in a new one;
    "torch_signs" draws random signs and adds them in place.  "add" is one scalar add over as many
    floats in one tensor.  "perturb_once" is timed as those two are, by one call a turn.
    """
    import torch

    from bench.workloads.steps import build
    from zo_core import kernels
    from zo_core import parameters as number

    module = build("resnet18")
    numbered = number(module)
    flat = torch.zeros(numbered.num_elements)
    return take_turns(
        {
            "add": lambda: flat.add_(1e-9),
            "perturb": lambda: kernels.perturb(numbered, [(_SEED, _SCALE)]),
            "replay_30": _replay(numbered, 30),
            "replay_150": _replay(numbered, 150),
            "perturb_once": lambda: kernels.perturb(numbered, [(_SEED, _SCALE)]),
            "mezo": lambda: _perturb_as_mezo(module),
            "torch_signs": lambda: _perturb_by_torch_signs(module),
        },
        repeats,
        calls=_CALLS,
    )


def time_step_share(batch: int, repeats: int, device: str = "cpu") -> dict[str, list[float]]:
    """Time ZO steps of ResNet18, one direction's two bare forwards, and each phase of a step.

    "step" is :class:`zo_core.ZOSGD`'s with one direction, "step_3" with three; "add" is one scalar
    add over all weights.  The phases are those of a client's estimate and a replay, pass by pass.
    """
    import torch

    from bench.workloads.steps import build, images
    from zo_core import ZOSGD, snap_
    from zo_core import parameters as number
    from zo_core.loss.module_loss import mean_loss
    from zo_core.loss.precision import computing_in

    module = build("resnet18").eval().to(device)
    x, y = (part.to(device) for part in images("resnet18", batch))
    numbered, grid = number(module), snap_(module)
    flat = torch.zeros(numbered.num_elements, device=device)
    phases: dict[str, list[float]] = {}

    def loss() -> float:
        return mean_loss(module, x, y)

    def stepper(directions: int) -> Callable[[], object]:
        optimizer = ZOSGD(numbered, lr=1e-6, epsilon=1e-4, directions=directions, grid=grid)
        return lambda: optimizer.step(loss)

    operations: dict[str, Callable[[], object]] = {
        "add": lambda: flat.add_(1e-9),
        "forwards": lambda: [loss() for _ in range(2)],
        "step": stepper(1),
        "step_3": stepper(3),
        "phases": lambda: _step_by_phase(loss, numbered, grid, phases),
    }
    with computing_in("fp32", device, forwards_only=True):
        timed = take_turns(operations, repeats, calls={"add": 5})
    del timed["phases"]
    return timed | {f"phase_{name}": seconds for name, seconds in phases.items()}


def _step_by_phase(
    loss: Callable[[], float], numbered: Any, grid: Any, found: dict[str, list[float]]
) -> None:
    """Take a step of one direction pass by pass; note the seconds of each phase."""
    from zo_core import apply_updates_, loss_differences

    started = time.perf_counter()

    def observe(phase: str) -> None:
        nonlocal started
        devices.synchronise()
        now = time.perf_counter()
        found.setdefault(phase, []).append(now - started)
        started = now

    differences = loss_differences(
        loss, numbered, [_SEED], epsilon=1e-4, grid=grid, observe=observe
    )
    apply_updates_(numbered, [(_SEED, float(differences[0]))], 1e-6, epsilon=1e-4, grid=grid)
    observe("replay")


def measure_extra_memory(parameters: int) -> dict[str, devices.Measurement]:
    """Measure what perturb, restore and replay need beside the weights, at process level."""
    import numpy as np

    from zo_core import apply_updates_, perturb_, snap_
    from zo_core import parameters as number

    numbered = number([np.linspace(-0.05, 0.05, parameters, dtype=np.float32)])
    grid = snap_(numbered)
    updates = [(_SEED + j, 1e-6 * (j + 1)) for j in range(_REPLAYED[0])]
    operations: dict[str, Callable[[], object]] = {
        "perturb": lambda: perturb_(numbered, _SEED, grid.radius(1e-4)),
        "restore": lambda: perturb_(numbered, _SEED, -grid.radius(1e-4)),
        "replay": lambda: apply_updates_(numbered, updates, 1e-3, epsilon=1e-4, grid=grid),
    }
    readings = {}
    for name, operation in operations.items():
        with devices.measure() as region:
            operation()
        readings[name] = region
    return readings


def count_changed_bits(model: str, cycles: int, device: str = "cpu") -> GridRestore:
    """Perturb and restore a model many times on the grid; count the weights whose bits changed.

    Initial weights, signs and update come from integers and IEEE operations, so every machine must
    reach the digest.
    """
    from bench.workloads.steps import build
    from zo_core import apply_updates_, derive_seed, digest, perturb_, snap_
    from zo_core import parameters as number

    numbered = number(build(model).to(device))
    grid = snap_(numbered)
    origin = [array.clone() for array in numbered.arrays]
    rho = grid.radius(1e-4, 0.75)
    for cycle in range(cycles):
        seed = derive_seed(_SEED, round_index=cycle, client_id=0, direction=0)
        for scale in (rho, -2 * rho, rho):
            perturb_(numbered, seed, scale)
    changed = sum(
        int((now.view(dtype=_int32()) != then.view(dtype=_int32())).sum())
        for now, then in zip(numbered.arrays, origin, strict=True)
    )
    fixed = [(_SEED + j, (-1) ** j * 2.0**-20 * (j + 1)) for j in range(_REPLAYED[0])]
    apply_updates_(numbered, fixed, 1e-3, epsilon=1e-4, grid=grid)
    return GridRestore(changed=changed, digest=digest(numbered, grid).hex())


def plain_restore_error(dtype: str, cycles: int, parameters: int) -> PlainRestore:
    """Perturb and restore plain weights of N(0, 0.02) many times; measure how far they drift."""
    import torch

    from zo_core import derive_seed, perturb_

    weights = 0.02 * torch.randn(parameters, generator=torch.Generator().manual_seed(_SEED))
    weights = weights.to(getattr(torch, dtype))
    origin = weights.clone()
    perturb_([weights], _SEED, 1e-4)
    effect = float((weights != origin).double().mean())
    weights.copy_(origin)
    for cycle in range(cycles):
        seed = derive_seed(_SEED, round_index=cycle, client_id=0, direction=0)
        for scale in (1e-4, -2e-4, 1e-4):
            perturb_([weights], seed, scale)
    drift = (weights.double() - origin.double()).norm() / origin.double().norm()
    changed = float((weights != origin).double().mean())
    return PlainRestore(changed=changed, relative_l2=float(drift), effect=effect)


def _replay(numbered: Any, n: int) -> Callable[[], object]:
    """A replay of n directions on the grid, too small a step to widen anything."""
    from zo_core import kernels
    from zo_core.fixed_point import fixed_point

    update = fixed_point([_SEED + j for j in range(n)], [1e-6 * (j + 1) / n for j in range(n)])
    exponents = [-26] * len(numbered.arrays)
    return lambda: kernels.replay(numbered, update, exponents)


def _perturb_as_mezo(module: torch.nn.Module) -> None:
    import torch

    torch.manual_seed(_SEED)
    for parameter in module.parameters():
        z = torch.normal(mean=0.0, std=1.0, size=parameter.size(), dtype=parameter.dtype)
        parameter.data = parameter.data + 1.0 * z * _SCALE


def _perturb_by_torch_signs(module: torch.nn.Module) -> None:
    import torch

    torch.manual_seed(_SEED)
    for parameter in module.parameters():
        signs = torch.randint(0, 2, parameter.size(), dtype=torch.float32).mul_(2).sub_(1)
        parameter.data.add_(signs, alpha=_SCALE)


def _int32() -> torch.dtype:
    import torch

    return torch.int32
