"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import ast
import doctest
import importlib
from pathlib import Path

import pytest
from optional import needs, optional_imports

ROOT = Path(__file__).parents[1]
SOURCES = {
    path.relative_to(ROOT)
    .with_suffix("")
    .as_posix()
    .replace("/", ".")
    .removesuffix(".__init__"): path.read_text(encoding="utf-8")
    for package in ("zo_core", "devices", "bench")
    for path in sorted((ROOT / package).rglob("*.py"))
}
MODULES = [name for name, source in SOURCES.items() if ">>> " in source]


def needed_by_examples(source: str) -> set[str]:
    """The optional packages that the examples' functions, or the module itself, import."""
    tree = ast.parse(source)
    found = {name for node in tree.body for name in optional_imports(node, into_functions=False)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ">>> " in (ast.get_docstring(node) or ""):
            found.update(optional_imports(node))
    return found


def module_with_needs(name: str) -> object:
    names = sorted(needed_by_examples(SOURCES[name]))
    return pytest.param(name, marks=needs(*names) if names else ())


def test_there_are_examples() -> None:
    assert {"zo_core.directions", "zo_core.models", "devices.meter", "bench.format"} <= set(MODULES)


@pytest.mark.parametrize("name", [module_with_needs(name) for name in MODULES])
def test_the_examples_run(name: str) -> None:
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert result.failed == 0
    assert result.attempted > 0


def test_what_an_example_needs_is_seen() -> None:
    shown = 'def f():\n    """>>> f()"""\n    from rouge_score.rouge_scorer import X\n'
    other = "def g():\n    import tokenizers\n"
    checked = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ray\n"
    assert needed_by_examples(shown + other + checked) == {"rouge_score"}
    assert needed_by_examples("try:\n    import flwr\nexcept ImportError:\n    pass") == {"flwr"}
