"""One way for a test to need what the README's install leaves out: ``needs("tokenizers")``.

The tests run in the environment of ``make test``, the extra ``bench``. A test that needs more
names it. Where that is missing, the test skips and its reason says what to install.
``pytest -m optional`` selects the tests that name something, and no others.
"""

from __future__ import annotations

import ast
import importlib.util
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from bench.extras import EXTRAS as ALL_EXTRAS
from bench.extras import how_to_install

ROOT = Path(__file__).parents[2]
EXTRAS = {name: extra for name, extra in ALL_EXTRAS.items() if extra not in ("bench", "edge")}
TOOLS = {  # command -> Debian package
    "mosquitto": "mosquitto",
    "mosquitto_passwd": "mosquitto",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "openssl": "openssl",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "qemu-aarch64": "qemu-user-static",
}


def needs(*names: str) -> pytest.MarkDecorator:
    """Mark a test or a module (``pytestmark``) that needs optional packages or tools.

    Args:
        names: keys of EXTRAS (import names) or of TOOLS (commands).
    """
    unknown = [name for name in names if name not in EXTRAS and name not in TOOLS]
    if unknown or not names:
        raise ValueError(f"names must be of {sorted([*EXTRAS, *TOOLS])}, got {unknown or 'none'}")
    return pytest.mark.optional(*names)


def find_tool(name: str) -> str | None:
    """Find a command, in /usr/sbin as well; Debian's static emulators have a suffix."""
    for candidate in (name, f"{name}-static"):
        found = shutil.which(candidate) or shutil.which(candidate, path="/usr/sbin")
        if found:
            return found
    return None


@cache
def why_missing(name: str) -> str | None:
    """Return why an optional package or tool cannot be used here; None if it can."""
    if name in EXTRAS:
        return None if importlib.util.find_spec(name) else how_to_install(name)
    return None if find_tool(name) else f"{name} is not installed: apt-get install {TOOLS[name]}"


def skip_what_is_missing(items: list[pytest.Item]) -> None:
    """Add a skip to each test that names something missing; conftest.py calls this."""
    for item in items:
        names = {name for mark in item.iter_markers("optional") for name in mark.args}
        reasons = [
            reason for name in [*EXTRAS, *TOOLS] if name in names and (reason := why_missing(name))
        ]
        if reasons:
            item.add_marker(pytest.mark.skip(reason=reasons[0]))


def optional_imports(node: ast.AST, *, into_functions: bool = True) -> Iterator[str]:
    """Yield the optional packages that a piece of code imports, type checking aside."""
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return
    if isinstance(node, ast.Import):
        roots = [alias.name.split(".")[0] for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        roots = [(node.module or "").split(".")[0]] if node.level == 0 else []
    else:
        roots = []
    yield from (name for name in roots if name in EXTRAS)
    if into_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for child in ast.iter_child_nodes(node):
            yield from optional_imports(child, into_functions=into_functions)


def in_the_source(name: str) -> pytest.MarkDecorator:
    """Mark a test of a part of the repository that a copy of the source may lack."""
    return pytest.mark.skipif(
        not (ROOT / name).exists(), reason=f"this copy of the source has no {name}"
    )


needs_results = in_the_source("results")
