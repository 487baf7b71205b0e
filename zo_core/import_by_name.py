"""The user's own things by name, ``package.module:name``: a model, a data set, a loss, a method.

The current folder is importable.  A name that came over a network is not imported unless the user
of this machine allows its module: choosing what is imported means choosing what runs.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_FORM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_allowed: Collection[str] | None = None  # top-level modules; None: this user chose all names


def is_own(name: str) -> bool:
    """Tell whether a name has the form ``package.module:name``.

    >>> is_own("my_models:tiny"), is_own("data/images.npz"), is_own("cnn")
    (True, False, False)
    """
    return _FORM.fullmatch(name) is not None


def top_module(name: str) -> str:
    """Return the top-level module of ``package.module:name``.

    >>> top_module("my_models.small:tiny")
    'my_models'
    """
    return name.partition(":")[0].partition(".")[0]


def load_own(name: str, what: str) -> Any:
    """Import what a name stands for, from the current folder too.

    Args:
        name: ``package.module:name``.
        what: is named, for the message: "model", "data set", "loss", "algorithm".

    Raises:
        ValueError: the module cannot be imported, has no such name, or is not allowed.
    """
    module_name, _, attribute = name.partition(":")
    _require_allowed(name, what)
    module = _import(module_name, name, what)
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        own = (n for n, v in vars(module).items() if getattr(v, "__module__", "") == module_name)
        known = [each for each in own if not each.startswith("_")]
        raise ValueError(
            f"{what} {name!r}: module {module_name} has no {attribute!r}; it defines "
            f"{', '.join(known) or 'nothing'}"
        ) from error


def call_own(name: str, what: str) -> Any:
    """Import a factory and call it without arguments.

    Raises:
        ValueError: as :func:`load_own`, or the factory failed.
    """
    factory = load_own(name, what)
    try:
        return factory()
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{what} {name!r}: {name.partition(':')[2]}() failed with {problem}; it is called "
            "without arguments"
        ) from error


@contextmanager
def allowing_modules(names: Collection[str]) -> Iterator[None]:
    """Import nothing but these top-level modules and what is in them, inside the context.

    Args:
        names: top-level modules, for example {"my_models"}; all threads are held to them.
    """
    global _allowed  # noqa: PLW0603 (a context variable would not reach other threads)
    before, _allowed = _allowed, frozenset(names)
    try:
        yield
    finally:
        _allowed = before


def _require_allowed(name: str, what: str) -> None:
    top = top_module(name)
    if _allowed is not None and top not in _allowed:
        raise ValueError(
            f"{what} {name!r} was chosen by the server, and this machine imports nothing that it "
            f"was not told to: if you trust {top}.py here, add --import {top}"
        )


def _import(module: str, name: str, what: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:  # a console script, unlike python -m, leaves it out
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except Exception as error:  # the module's own code runs, and may raise anything
        problem = (
            str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        )
        raise ValueError(
            f"{what} {name!r}: module {module} cannot be imported ({problem}); it was looked for "
            f"in the current folder, {here}, and among the installed packages"
        ) from error
