"""What is audited: a module, one step of any implementation, and the loss that it minimizes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from bench.audit.weights import trainable


@dataclass(frozen=True, slots=True)
class AuditCase:
    """Hold what a factory makes for one audit.

    Args:
        module: the model; its trainable parameters are what the step moves.
        step: takes one zeroth-order step: one estimate, one update. Its result is ignored.
        loss: returns the loss of one unperturbed forward on the step's batch; None where there is
            none, and the checks that need it are not applicable.
        two_sided: False for a method that does not evaluate L(w + d) and L(w - d), by design.
        plain_update: False for a method that turns the estimate before it is applied, by design:
            momentum, Adam, Muon, a Hessian.
        full_precision: False for a method that computes its forwards below float32, by design.
    """

    module: nn.Module
    step: Callable[[], object]
    loss: Callable[[], Any] | None = None
    two_sided: bool = field(default=True, kw_only=True)
    plain_update: bool = field(default=True, kw_only=True)
    full_precision: bool = field(default=True, kw_only=True)


Factory = Callable[[int, float], Any]


def load_factory(target: str) -> Factory:
    """Import a factory by name, from the current folder too.

    Args:
        target: "package.module:factory".

    Raises:
        ValueError: the name has another form, or there is no such function.
    """
    module, colon, name = target.partition(":")
    if not (module and colon and name):
        raise ValueError(f"the factory must look like package.module:factory, got {target!r}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ValueError(f"module {module} cannot be imported: {error}") from error
    except AttributeError as error:
        raise ValueError(f"module {module} has no function {name!r}") from error
    if not callable(found):
        raise ValueError(f"{target} must be a function (seed, lr), got {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def name_of(factory: Factory) -> str | None:
    """Return the name by which another process can import a factory, None if there is none."""
    module = getattr(factory, "__module__", "__main__")
    name = getattr(factory, "__qualname__", "<unnamed>")
    return None if module == "__main__" or "<" in name or "." in name else f"{module}:{name}"


def make_case(factory: Factory, seed: int, lr: float) -> AuditCase:
    """Call a factory and check what it returns.

    Args:
        factory: ``factory(seed, lr)``, returning an AuditCase or a pair (module, step).
        seed: of the directions.
        lr: learning rate.

    Raises:
        ValueError: it raised, or returned something else.
    """
    try:
        made = factory(seed, lr)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise ValueError(f"the factory failed at (seed={seed}, lr={lr:g}): {problem}") from error
    case = AuditCase(*made) if isinstance(made, tuple) and len(made) == 2 else made
    is_case = isinstance(case, AuditCase)
    if not (is_case and isinstance(case.module, nn.Module) and callable(case.step)):
        raise ValueError(
            "the factory must return AuditCase(module, step, loss) or a pair (module, step), "
            f"got {type(made).__name__}"
        )
    if not trainable(case.module):
        raise ValueError(
            "the factory's module has no trainable floating-point parameter: call requires_grad_()"
            " on those that the step moves"
        )
    return case
