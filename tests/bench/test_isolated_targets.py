"""Whatever bench runs in a fresh process by name is there."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import bench

_TARGET = re.compile(r"(bench|devices|zo_core)(\.\w+)+:\w+")


def targets() -> set[str]:
    paths = Path(bench.__file__).parent.rglob("*.py")
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text())))
    texts = (n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return {text for text in texts if _TARGET.fullmatch(text)}


@pytest.mark.parametrize("target", sorted(targets()))
def test_each_target_names_a_function(target: str) -> None:
    module, name = target.split(":")
    assert callable(getattr(importlib.import_module(module), name))
