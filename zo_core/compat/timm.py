"""The one place that imports timm, which imports torchvision: around a broken extension of that."""

from __future__ import annotations

import importlib
from types import ModuleType

from zo_core.compat.torchvision import import_torchvision


def import_timm() -> ModuleType:
    """Import timm.

    Raises:
        ImportError: it is not installed; the message names the extra that brings it.
    """
    import_torchvision()
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise ImportError('timm is not installed: pip install -e ".[timm]"') from error
