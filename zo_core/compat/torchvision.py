"""The one place that imports torchvision, because some builds of it do not import plainly.

torchvision's wheel for a CPU-only torch can be linked against CUDA; its extension then fails to
load and ``import torchvision`` raises ``operator torchvision::nms does not exist``.  Declaring the
two operators by hand lets the rest (models, datasets, transforms) work; detection does not.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

_SIGNATURE: Final = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept_alive: list[torch.library.Library] = []  # a collected Library takes its operators with it


def import_torchvision(submodule: str = "") -> ModuleType:
    """Import torchvision or one of its submodules, around a broken extension if need be.

    Args:
        submodule: dotted name below ``torchvision``, for instance ``models.vision_transformer``.

    Returns:
        The module.

    Raises:
        ImportError: torchvision is not installed; the message names the extra that brings it.
    """
    name = f"torchvision.{submodule}" if submodule else "torchvision"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise ImportError('torchvision is not installed: pip install "zobench[bench]"') from error
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
        _declare_operators()
        return importlib.import_module(name)


def _declare_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    library.define(f"nms{_SIGNATURE}")  # type: ignore[no-untyped-call]
    library.define(f"qnms{_SIGNATURE}")  # type: ignore[no-untyped-call]
    _kept_alive.append(library)
