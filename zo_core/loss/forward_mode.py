"""How a module's forward runs: memory format of its inputs, and whose convolutions it takes.

Which one is fastest depends on the device and the model: :mod:`zo_core.loss.forward_trial` measures
them.  The choice changes the last bits of a loss: a run makes it once and keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from zo_core.loss.compiled import CompiledForward, PlainForward


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
