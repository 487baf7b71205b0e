"""Commands where an optional package is missing: exit code 3, and one line that names the extra."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from bench.__main__ import main
from zo_core.federation.protocol.trainers import choose_backend

FIND_SPEC = importlib.util.find_spec


def hide(monkeypatch: pytest.MonkeyPatch, *hidden: str) -> None:
    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in hidden else FIND_SPEC(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


def test_fit_needs_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hide(monkeypatch, "torch")
    assert main(["fit", "--device", "512MB", "--model", "cnn"]) == 3
    error = capsys.readouterr().err
    assert error == 'zobench: torch is not installed: pip install "zobench[bench]"\n'


def test_join_needs_torch_or_onnxruntime(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hide(monkeypatch, "torch", "onnxruntime")
    assert main(["join"]) == 3
    error = capsys.readouterr().err
    assert 'neither torch nor onnxruntime is installed: pip install "zobench[edge]"' in error
    assert error.count("\n") == 1


def test_a_client_without_torch_needs_an_exported_model(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "torch")
    with pytest.raises(ValueError, match="add --model DIR"):
        choose_backend(model=None, memory_mib=4096, high_mib=1024)
    assert choose_backend(model=Path("x"), memory_mib=4096, high_mib=1024) == ("onnx", False)
