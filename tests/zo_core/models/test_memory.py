"""The models hold few maps in inference: counted on live tensors, whatever the allocator does."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from zo_core.models import build_model


class LiveBytes(TorchDispatchMode):
    """Track the bytes of tensor storages made under the mode; slow, and blind to workspaces."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.live, self.peak = 0, 0
        self.known = weakref.WeakSet(p.untyped_storage() for p in model.parameters())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.note(tensor.untyped_storage())
        return out

    def note(self, storage: torch.UntypedStorage) -> None:
        if storage in self.known:
            return
        self.known.add(storage)
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self.forget, storage.nbytes())

    def forget(self, size: int) -> None:
        self.live -= size


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_resnet18_holds_three_of_its_widest_maps_in_inference(norm: str) -> None:
    model = build_model("resnet18", in_channels=3, image_size=32, norm=norm, run_seed=0).eval()
    images = torch.zeros(4, 3, 32, 32)
    widest_map = 4 * 64 * 32 * 32 * 4
    with torch.no_grad(), LiveBytes(model) as tracked:
        model(images)
    assert tracked.peak <= 3.01 * widest_map  # GroupNorm's means and deviations are the rest
