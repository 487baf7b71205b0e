"""Which kernel serves which tensor, and why another one does not.

A kernel is a module of this package, imported when a tensor first needs it.  The choice and what
the kernel prepared are kept in :attr:`Parameters.tables`, so that a pass over a small model costs
microseconds.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, cast

import numpy as np

from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels.numpy_ref import Direction
from zo_core.kernels.resumable_pass import Journal, ReplayStats
from zo_core.parameters import Parameters, Span


class Kernel(Protocol):
    """What each kernel module offers; :mod:`zo_core.kernels.numpy_ref` says what it means."""

    def prepare(self, spans: Sequence[Span]) -> Any:
        """Describe the spans once, in the form that the kernel's passes take."""

    def perturb(
        self,
        table: Any,
        terms: Sequence[tuple[int, float]],
        direction: Direction,
        threads: int,
        *,
        journal: Journal,
    ) -> None:
        """Add scale * z(seed) for each (seed, scale) of terms."""

    def replay(
        self,
        table: Any,
        update: FixedPointUpdate,
        exponents: Any,
        write: bool,
        threads: int,
        *,
        back: Sequence[tuple[int, float]] = (),
        journal: Journal,
    ) -> list[ReplayStats]:
        """Add the terms of back, then apply a list of updates; one ReplayStats a span."""


@dataclass(frozen=True, slots=True)
class Group:
    """The spans of a model that one kernel serves in one call."""

    kernel: Kernel
    table: Any  # what kernel.prepare made of the spans
    tensor_indices: tuple[int, ...]  # of each span


_MODULES = {"c": "cpu", "triton": "triton_ops", "torch": "torch_ops", "numpy": "numpy_ref"}
_MISSING = {
    "c": "the C kernels are missing, NumPy's take their place, slowly",
    "triton": "the Triton kernels are missing, torch's operations take their place, slower",
}
_forced: str | None = None


@contextmanager
def force_kernel(name: str) -> Iterator[None]:
    """Force one kernel ("c", "triton", "torch" or "numpy") inside the context, for comparisons.

    Raises:
        ValueError: the name is unknown; inside the context, a pass over tensors that the kernel
            cannot serve.
        RuntimeError: the kernel is not available on this machine.
    """
    global _forced  # noqa: PLW0603
    if name not in _MODULES:
        raise ValueError(f"kernel must be one of {', '.join(_MODULES)}, got {name!r}")
    if reason := unavailable_reason(name):
        raise RuntimeError(f"kernel {name!r} is not available: {reason}")
    previous, _forced = _forced, name
    try:
        yield
    finally:
        _forced = previous


def list_kernels() -> list[tuple[str, bool, str]]:
    """List the kernels as (name, available, what it serves or why it is missing)."""
    serves = {
        "c": "float32 tensors in host memory",
        "triton": "float32 tensors on a CUDA device",
        "torch": "bfloat16, and tensors on any other device",
        "numpy": "float16 and float64 in host memory; the reference",
    }
    return [
        (name, not unavailable_reason(name), unavailable_reason(name) or serves[name])
        for name in _MODULES
    ]


def default_kernel(device: str) -> str:
    """Name the kernel that passes over float32 weights use on a device of this machine.

    Args:
        device: "cpu" or "cuda".

    Returns:
        "c" or "numpy" in host memory, "triton" or "torch" on a GPU.
    """
    fast, fallback = ("triton", "torch") if device == "cuda" else ("c", "numpy")
    return fallback if unavailable_reason(fast) else fast


@cache
def unavailable_reason(name: str) -> str:
    """Return why a kernel cannot be used on this machine, or an empty string."""
    try:
        module = importlib.import_module(f"zo_core.kernels.{_MODULES[name]}")
    except ImportError as error:
        remedy = {
            "c": "the extension was not built; install a C compiler and reinstall zobench",
            "triton": "install triton (it comes with torch for CUDA)",
            "torch": 'install torch: pip install "zobench[bench]"',
        }
        return f"{remedy[name]} ({error})"
    return str(getattr(module, "unavailable", str)())


def groups_of(params: Parameters, signs: bool) -> list[Group]:
    """Group a model's spans by kernel, in stream order; made once for each model.

    Args:
        params: the weights.
        signs: True for Rademacher directions; the C and Triton kernels know no other.
    """
    key = (_forced, signs)
    if key not in params.tables:
        params.tables[key] = _group(params.spans, signs)
    return cast("list[Group]", params.tables[key])


def module_of(span: Span) -> Any:
    """Return the module that works on a span by array operations: NumPy's or torch's."""
    return _module("numpy" if isinstance(span.array, np.ndarray) else "torch")


def _group(spans: Sequence[Span], signs: bool) -> list[Group]:
    names: dict[str, list[Span]] = {}
    for span in spans:
        names.setdefault(_name_for(span, signs), []).append(span)
    return [
        Group(_module(name), _module(name).prepare(members), tuple(p.tensor_index for p in members))
        for name, members in names.items()
    ]


def _name_for(span: Span, signs: bool) -> str:
    """Choose the fastest kernel that serves a span."""
    if _forced is not None and (signs or _forced in {"torch", "numpy"}):
        if not _SERVES[_forced](span):
            raise ValueError(
                f"kernel {_forced!r} does not serve tensor {span.tensor_index} "
                f"({span.array.dtype}); leave the choice to the dispatch"
            )
        return _forced
    for name in ("c", "triton") if signs else ():
        if _SERVES[name](span):
            if not (reason := unavailable_reason(name)):
                return name
            _warn_once(name, reason)
    return "numpy" if _SERVES["numpy"](span) else "torch"


@cache
def _warn_once(name: str, reason: str) -> None:
    import logging

    logging.getLogger("zo_core.kernels").warning("%s: %s", _MISSING[name], reason)


def _module(name: str) -> Any:
    return importlib.import_module(f"zo_core.kernels.{_MODULES[name]}")


def _is_host_float32(span: Span) -> bool:
    array = span.array
    return isinstance(array, np.ndarray) and array.dtype == np.dtype("=f4") and array.flags.aligned


def _is_for_triton(span: Span) -> bool:
    if isinstance(span.array, np.ndarray):  # Triton's interpreter, which tests the kernels
        return _forced == "triton" and _is_host_float32(span) and span.array.ndim == 1
    array = span.array
    return array.device.type == "cuda" and "float32" in str(array.dtype) and array.ndim == 1


_SERVES: dict[str, Callable[[Span], bool]] = {
    "c": _is_host_float32,
    "triton": _is_for_triton,
    "torch": lambda span: True,
    "numpy": lambda span: isinstance(span.array, np.ndarray),
}
