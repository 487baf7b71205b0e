"""How a module's forward runs: memory format of its inputs, and whose convolutions it takes.

Which one is fastest depends on the device and the model, so a short trial measures them.  The
choice changes the last bits of a loss: a run makes it once and keeps it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import nn

from zo_core.loss.compiled import CompiledForward, PlainForward
from zo_core.loss.module_loss import evaluating

TRIAL_ITEMS: Final = 16
_TURNS = 3  # at least; each mode's fastest one counts
_TRIAL_S = 0.3  # turns go on as long as this, for forwards of microseconds
_MARGIN = 0.9  # of the plain mode's time: what noise could explain changes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardMode:
    """One way to run forwards; weights stay where and as they are."""

    channels_last: bool  # layout of the inputs, which convolutions hand on
    onednn: bool  # torch's oneDNN kernels; False: its native ones
    compiled: bool = False  # by torch.compile, see zo_core.loss.compiled

    def lay_out(self, x: torch.Tensor) -> torch.Tensor:
        """Return a batch of images in the mode's memory format."""
        image = x.dim() == 4
        wanted = torch.channels_last if self.channels_last and image else torch.contiguous_format
        return x.contiguous(memory_format=wanted)

    def forward_of(self, module: nn.Module) -> CompiledForward | PlainForward:
        """Prepare a module's forwards; nothing is compiled before the first one."""
        return CompiledForward(module) if self.compiled else PlainForward()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Choose the kernels inside the context."""
        backend: Any = torch.backends.mkldnn
        before, backend.enabled = backend.enabled, self.onednn
        try:
            yield
        finally:
            backend.enabled = before


FORWARD_MODES: Final[dict[str, ForwardMode]] = {
    "contiguous": ForwardMode(channels_last=False, onednn=True),
    "channels_last": ForwardMode(channels_last=True, onednn=True),
    "native": ForwardMode(channels_last=False, onednn=False),
    "native-channels_last": ForwardMode(channels_last=True, onednn=False),
    "compiled": ForwardMode(channels_last=False, onednn=True, compiled=True),
}


def try_forward_modes(module: nn.Module, x: torch.Tensor) -> dict[str, float]:
    """Time a module's forward in each mode, turn by turn; compiled ones on CUDA only.

    On a CPU a compilation takes longer than most runs: choose it by name there.

    Args:
        module: maps x to outputs; nothing of it changes.
        x: inputs, (items, ...); the first TRIAL_ITEMS are taken.

    Returns:
        Seconds of the fastest forward of each mode.
    """
    on_cuda = x.device.type == "cuda"
    tried = {name: mode for name, mode in FORWARD_MODES.items() if on_cuda or not mode.compiled}
    batches = {name: mode.lay_out(x[:TRIAL_ITEMS]) for name, mode in tried.items()}
    calls = {name: mode.forward_of(module) for name, mode in tried.items()}
    fastest = dict.fromkeys(tried, float("inf"))
    started, turn = time.perf_counter(), 0
    with torch.inference_mode(), evaluating(module):
        while turn <= _TURNS or time.perf_counter() - started < _TRIAL_S:
            for name, mode in tried.items():
                with mode.active(), calls[name].active():
                    elapsed_s = _seconds(partial(module, batches[name]), x.device.type)
                if turn > 0:  # the first turn builds what later ones find built
                    fastest[name] = min(fastest[name], elapsed_s)
            turn += 1
    return fastest


def fastest_mode(seconds: dict[str, float]) -> str:
    """Name the fastest mode of a trial: the first, unless another is a tenth faster.

    >>> fastest_mode({"contiguous": 1.0, "channels_last": 0.95, "native": 2.0})
    'contiguous'
    >>> fastest_mode({"contiguous": 1.0, "channels_last": 0.5, "native": 2.0})
    'channels_last'
    """
    first, best = next(iter(seconds)), min(seconds, key=seconds.__getitem__)
    return best if seconds[best] < _MARGIN * seconds[first] else first


def _seconds(forward: Callable[[], object], device_type: str) -> float:
    started = time.perf_counter()
    forward()
    if device_type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
