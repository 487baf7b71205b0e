"""Rebuild fine-tuned weights from the base and the log of its updates: a model in kilobytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

from zo_core.buffers import is_module
from zo_core.digest import digest
from zo_core.kernels.resumable_pass import uninterrupted
from zo_core.parameters import Parameters, Params, parameters
from zo_core.update_log import LogError, UpdateLog
from zo_core.weight_grid import snap_
from zo_core.zosgd import group_parts, grouped_pass


def replay(
    base: Params | Mapping[str, Any], log: UpdateLog | str | Path, *, steps: int | None = None
) -> None:
    """Turn base weights into the fine-tuned ones that a log describes, in place and to the bit.

    Each step is one pass over the weights; there is no forward, so neither data nor model code is
    needed.  Weights that the log does not name stay unchanged.

    Args:
        base: the weights that the run began with: a module, a mapping of names to buffers (a
            ``state_dict``), or a list of buffers in the log's order.
        log: of the run, or the file that it is in.
        steps: how many of its steps to take; None for all.

    Raises:
        LogError: the log is damaged or has another version, base is not what the run started from
            (no weight has changed then), or the result is not what the run ended with.
        OSError: the file cannot be read.

    >>> import numpy as np
    >>> from zo_core import ZOSGD, UpdateLog, parameters
    >>> from zo_core.update_log import start_log
    >>> w, base = np.ones(8, np.float32), np.ones(8, np.float32)
    >>> grid, log = start_log(parameters([w]), epsilon=1e-3)
    >>> optimizer = ZOSGD([w], lr=0.05, grid=grid, log=log)
    >>> for _ in range(10):
    ...     _ = optimizer.step(lambda: float(w.astype(np.float64) @ w))
    >>> replay([base], log)
    >>> bool((base == w).all())
    True
    """
    if not isinstance(log, UpdateLog):
        log = UpdateLog.load(log)
    if steps is not None and not 0 <= steps <= log.num_steps:
        raise ValueError(f"steps must be from 0 to {log.num_steps}, the log's length, got {steps}")
    header = log.header
    params = _numbered(base, header.names)
    if digest(params).hex() != header.base_digest:
        raise LogError(
            "base is not what the run began with: the digests differ; load the weights that were "
            "trained from (float32, before any step)"
        )
    grid = snap_(params)
    if digest(params, grid).hex() != header.snapped_digest:
        raise LogError("base on the grid is not what the run began with: their digests differ")
    parts = group_parts(params, header.group_of, header.num_groups)
    for step in islice(log.steps(), steps):
        uninterrupted(
            grouped_pass(
                parts, step.updates, step.rates, epsilon=header.epsilon, tau=header.tau, grid=grid
            )
        )
    is_whole = steps in {None, log.num_steps}
    if is_whole and log.final_digest and digest(params, grid).hex() != log.final_digest:
        raise LogError("the rebuilt weights are not what the run ended with: their digests differ")


def _numbered(base: Params | Mapping[str, Any], names: tuple[str, ...]) -> Parameters:
    """Find the log's tensors in base, in its order.

    Raises:
        LogError: they are not there.
    """
    if is_module(base):
        base = dict(cast("Any", base).named_parameters())
    if isinstance(base, Mapping):
        missing = [name for name in names if name not in base]
        if missing:
            hint = "; its names are numbers: pass the list of tensors that the optimizer had"
            raise LogError(
                f"base has no tensor {missing[0]!r}, nor {len(missing) - 1} others of the log's "
                f"{len(names)}{hint if names[0].isdigit() else ''}"
            )
        base = [base[name] for name in names]
    params = parameters(base)
    if len(params.arrays) != len(names):
        raise LogError(f"base has {len(params.arrays)} tensors, the log is of {len(names)}")
    return replace(params, names=names)
