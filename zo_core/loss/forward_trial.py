"""A short trial of forward modes on a run's own model and batch.

Compiling takes from seconds to a minute, so it is tried only where the run's forwards take longer
than that by far; its time is part of the trial's recorded cost.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import torch
from torch import nn

from zo_core.loss.compiled import CompiledForward, PlainForward
from zo_core.loss.forward_mode import FORWARD_MODES
from zo_core.loss.module_loss import evaluating
from zo_core.loss.precision import computing_in

TRIAL_ITEMS: Final = 16  # on a CPU, where a mode's rank does not depend on the batch
WORTH_COMPILING_S: Final = 300.0  # of a run's forwards in the plain mode: ten slow compilations
COMPILED: Final = "compiled"
_TURNS: Final = 3  # at least; each mode's fastest one counts
_TRIAL_S: Final = 0.3  # turns go on as long as this, for forwards of microseconds
_MARGIN: Final = 0.9  # of the plain mode's time: what noise could explain changes nothing
_log = logging.getLogger("zo_core.loss")
_Calls = Mapping[str, "CompiledForward | PlainForward"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardTrial:
    """What a trial found."""

    mode: str  # the mode to use, a name in FORWARD_MODES
    seconds: dict[str, float] = field(default_factory=dict)  # the fastest forward in each mode
    cost_s: float = 0.0  # of the whole trial, compilation included
    compiled: CompiledForward | None = None  # the graph, where the mode is compiled


def try_forward_modes(
    module: nn.Module, x: torch.Tensor, *, precision: str = "fp32", items_ahead: float = 0.0
) -> ForwardTrial:
    """Time a module's forward in each mode, turn by turn.

    Args:
        module: maps x to outputs; nothing of it changes.
        x: a batch as the run's forwards take it, (items, ...); on a CPU the first TRIAL_ITEMS are
            taken, unless a compilation is worth its time.
        precision: a name in PRECISIONS, that the run computes in.
        items_ahead: items of all the run's forwards, or 0 to compile nothing.
    """
    started, kind = time.perf_counter(), x.device.type
    # oneDNN is the CPU's: without it nothing changes on another device
    modes = {
        name: mode
        for name, mode in FORWARD_MODES.items()
        if not mode.compiled and (kind == "cpu" or mode.onednn)
    }
    calls: _Calls = {name: PlainForward() for name in modes}
    few = x[:TRIAL_ITEMS] if kind == "cpu" else x
    compiled = None
    with (
        computing_in(precision, kind, forwards_only=True),
        torch.inference_mode(),
        evaluating(module),
    ):
        seconds = _take_turns(module, few, calls)
        expected_s = next(iter(seconds.values())) / len(few) * items_ahead
        if expected_s >= WORTH_COMPILING_S and can_compile(kind):
            compiled = CompiledForward(module)
            seconds = _with_compiled(module, x, {**calls, COMPILED: compiled}) or seconds
    mode = fastest_mode(seconds)
    return ForwardTrial(
        mode=mode,
        seconds=seconds,
        cost_s=time.perf_counter() - started,
        compiled=compiled if mode == COMPILED else None,
    )


def can_compile(device_type: str) -> bool:
    """Whether torch.compile finds what it needs: Triton for a GPU, a C++ compiler for a CPU."""
    if device_type != "cpu":
        return importlib.util.find_spec("triton") is not None
    compilers = (os.environ.get("CXX"), "g++", "clang++")
    return any(shutil.which(name) is not None for name in compilers if name)


def fastest_mode(seconds: Mapping[str, float]) -> str:
    """Name the fastest mode of a trial: the first, unless another is a tenth faster.

    >>> fastest_mode({"contiguous": 1.0, "channels_last": 0.95, "native": 2.0})
    'contiguous'
    >>> fastest_mode({"contiguous": 1.0, "channels_last": 0.5, "native": 2.0})
    'channels_last'
    """
    first, best = next(iter(seconds)), min(seconds, key=seconds.__getitem__)
    return best if seconds[best] < _MARGIN * seconds[first] else first


def _with_compiled(module: nn.Module, x: torch.Tensor, calls: _Calls) -> dict[str, float]:
    """Time all modes at the run's own batch; nothing where the compilation fails."""
    try:
        return _take_turns(module, x, calls)
    except RuntimeError as error:
        _log.warning("forwards are not compiled: %s", str(error).strip().partition("\n")[0])
        return {}


def _take_turns(module: nn.Module, x: torch.Tensor, calls: _Calls) -> dict[str, float]:
    modes = {name: FORWARD_MODES[name] for name in calls}
    batches = {name: mode.lay_out(x) for name, mode in modes.items()}
    fastest = dict.fromkeys(calls, float("inf"))
    started, turn = time.perf_counter(), 0
    while turn <= _TURNS or time.perf_counter() - started < _TRIAL_S:
        for name, mode in modes.items():
            with mode.active(), calls[name].active():
                elapsed_s = _seconds(partial(module, batches[name]), x.device.type)
            if turn > 0:  # the first turn builds what later ones find built
                fastest[name] = min(fastest[name], elapsed_s)
        turn += 1
    return fastest


def _seconds(forward: Callable[[], object], device_type: str) -> float:
    started = time.perf_counter()
    forward()
    if device_type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
