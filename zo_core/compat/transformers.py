"""The one place that imports transformers: without the parts that a language model does not need.

transformers imports torchvision and scikit-learn wherever they are installed: 160 MiB of resident
memory that would be counted against every language model, and a failure where torchvision's
extension is broken.  They are hidden while it looks for them, and are there again afterwards;
where somebody else imported it before, they stay.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import ModuleType
from typing import Final

from zo_core.compat.torchvision import import_torchvision

_UNNEEDED: Final[tuple[str, ...]] = ("torchvision", "sklearn", "scipy", "pandas", "PIL", "librosa")


@cache
def import_transformers() -> ModuleType:
    """Import transformers and what its language models are made of.

    Raises:
        ImportError: it is not installed; the message names the extra that brings it.
    """
    hidden = _UNNEEDED
    if "transformers" in sys.modules:  # it has looked for them by now, and remembers
        hidden = ()
        with suppress(ImportError):
            import_torchvision()
    with _hidden(hidden):
        transformers = _import("transformers")
        importlib.import_module("transformers.modeling_utils")
    transformers.utils.logging.disable_progress_bar()
    return transformers


def import_peft() -> ModuleType:
    """Import peft, which gives transformers' models adapters.

    Raises:
        ImportError: it is not installed; the message names the extra that brings it.
    """
    import_transformers()
    return _import("peft")


def _import(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(f'{package} is not installed: pip install "zobench[llm]"') from error


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Make packages look as if they were not installed, those already imported excepted."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)
