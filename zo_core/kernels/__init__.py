"""One dispatch point for the passes over the weights: perturb, fused re-perturb, replay.

Which kernel works on a tensor follows from where the tensor lies and what it holds; all of them
give the bits of :mod:`zo_core.kernels.numpy_ref`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.directions import gaussian, rademacher, sphere, sphere_factor
from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels.numpy_ref import Direction
from zo_core.kernels.resumable_pass import NO_STATS, Journal, Pass, ReplayStats, uninterrupted
from zo_core.kernels.selection import (
    default_kernel,
    force_kernel,
    groups_of,
    list_kernels,
    module_of,
)
from zo_core.kernels.whole_direction import whole_direction
from zo_core.parameters import CHUNK, Parameters, Span

__all__ = [
    "DISTRIBUTIONS",
    "ReplayStats",
    "available_cores",
    "default_kernel",
    "default_threads",
    "direction_of",
    "force_kernel",
    "list_kernels",
    "max_abs",
    "perturb",
    "perturb_pass",
    "replay",
    "replay_pass",
    "round_to_quantum",
]

DISTRIBUTIONS = ("rademacher", "gaussian", "sphere")


def perturb(
    params: Parameters,
    terms: Sequence[tuple[int, float]],
    distribution: str = "rademacher",
    threads: int | None = None,
) -> None:
    """Add scale * z(seed) for each (seed, scale) of terms, one after the other, in one pass.

    Args:
        params: the weights.
        terms: seeds in [0, 2^64) with their scales.
        distribution: one of DISTRIBUTIONS.
        threads: CPU threads at most; None for :func:`default_threads`.

    An interrupt that comes meanwhile is raised after the pass.

    Raises:
        ValueError: a seed or the distribution does not exist.
    """
    uninterrupted(perturb_pass(params, terms, distribution, threads))


def perturb_pass(
    params: Parameters,
    terms: Sequence[tuple[int, float]],
    distribution: str = "rademacher",
    threads: int | None = None,
) -> Pass[None]:
    """Prepare :func:`perturb`; calling the result again finishes a pass that was interrupted."""
    signs = distribution == "rademacher"
    direction = rademacher if signs else direction_of(distribution, params.sizes)
    work = [(group, Journal()) for group in groups_of(params, signs)]

    def run() -> None:
        while work:
            group, journal = work[-1]
            group.kernel.perturb(
                group.table, terms, direction, threads or default_threads(), journal=journal
            )
            work.pop()
        _drop_cached_casts()

    return run


def replay(
    params: Parameters,
    update: FixedPointUpdate,
    exponents: Sequence[int] | npt.NDArray[np.int32] | None,
    *,
    write: bool = True,
    threads: int | None = None,
    back: Sequence[tuple[int, float]] = (),
) -> list[ReplayStats]:
    """Apply a list of updates in one pass; one ReplayStats for each tensor, in stream order.

    Args:
        params: the weights.
        update: the list as integers.
        exponents: e of each tensor on the grid; None for plain mode.
        write: False changes nothing and returns what would come of it.
        threads: CPU threads at most; None for :func:`default_threads`.
        back: (seed, scale) terms of Rademacher directions, added first in the same pass: the way
            back from a perturbed point to the weights that the list is for.

    Returns:
        Statistics that tell whether a weight left the grid.
    """
    return uninterrupted(
        replay_pass(params, update, exponents, write=write, threads=threads, back=back)
    )


def replay_pass(
    params: Parameters,
    update: FixedPointUpdate,
    exponents: Sequence[int] | npt.NDArray[np.int32] | None,
    *,
    write: bool = True,
    threads: int | None = None,
    back: Sequence[tuple[int, float]] = (),
) -> Pass[list[ReplayStats]]:
    """Prepare :func:`replay`; calling the result again finishes a pass that was interrupted."""
    work = [(group, Journal()) for group in groups_of(params, signs=True)]
    results: list[list[ReplayStats]] = []

    def run() -> list[ReplayStats]:
        if results:
            return results[0]
        stats = [NO_STATS] * len(params.arrays)
        for group, journal in work:
            found = group.kernel.replay(
                group.table,
                update,
                exponents,
                write,
                threads or default_threads(),
                back=back,
                journal=journal,
            )
            for index, new in zip(group.tensor_indices, found, strict=True):
                stats[index] = stats[index].merge(new)
        results.append(stats)
        _drop_cached_casts()
        return stats

    return run


def _drop_cached_casts() -> None:
    """Let autocast convert the weights again: it keeps those of an earlier forward in its context.

    Without this, a loss whose ``torch.autocast`` surrounds the whole step would not see a pass.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.clear_autocast_cache()


def max_abs(span: Span) -> float:
    """Find the largest |w| of a span; nan or inf if it holds one."""
    return float(module_of(span).max_abs(span))


def round_to_quantum(span: Span, quantum: float) -> None:
    """Round a span's weights, half to even, to multiples of a power of two; -0 becomes +0."""
    module_of(span).round_to_quantum(span, quantum)


def direction_of(distribution: str, sizes: Sequence[int]) -> Direction:
    """Return the function (seed, tensor, n, start) -> z of a distribution for a model's sizes.

    Raises:
        ValueError: the distribution is unknown.
    """
    if distribution not in DISTRIBUTIONS:
        raise ValueError(
            f"distribution must be one of {', '.join(DISTRIBUTIONS)}, got {distribution!r}"
        )
    if distribution == "rademacher":
        return rademacher
    draw = gaussian if distribution == "gaussian" else _on_sphere(tuple(sizes))
    if sum(sizes) > CHUNK:
        return draw

    def of_small_model(seed: int, tensor_index: int, n: int, start: int) -> npt.NDArray[Any]:
        whole = _small_direction(distribution, seed, tuple(sizes))[tensor_index]
        return whole[start : start + n]

    return of_small_model


def _on_sphere(sizes: tuple[int, ...]) -> Direction:
    def on_sphere(seed: int, tensor_index: int, n: int, start: int) -> npt.NDArray[Any]:
        return sphere(seed, tensor_index, n, start, factor=_sphere_factor(seed, sizes))

    return on_sphere


# A step's passes meet each of its directions about five times, and a replay meets every one of the
# round once a tensor: what a round draws stays, of 50 clients with S = 3 as well.
@lru_cache(maxsize=256)
def _small_direction(
    distribution: str, seed: int, sizes: tuple[int, ...]
) -> tuple[npt.NDArray[Any], ...]:
    """Draw a direction whole, at most 128 KiB, tensor by tensor; not to be written to."""
    return whole_direction(distribution, seed, sizes)


@lru_cache(maxsize=128)  # a step's passes meet a few seeds several times each
def _sphere_factor(seed: int, sizes: tuple[int, ...]) -> float:
    return sphere_factor(seed, sizes)


def default_threads() -> int:
    """Return the number of threads for kernels: torch's where torch is loaded, else the cores."""
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch is not None else available_cores()


def available_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
