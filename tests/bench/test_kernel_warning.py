"""A run without the C kernels, or under an emulator, says so before its first case."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bench.records.case_name import CaseName
from bench.records.store import read_records
from bench.records.validate import check_file
from bench.suite.preflight import missing_kernels
from bench.suite.suite import Suite
from zo_core.kernels import selection


def start(folder: Path) -> str:
    stream = io.StringIO()
    suite = Suite.from_options(scale="smoke", only="bytes", out=str(folder))
    suite.start(1, stream)
    suite.progress.stop()
    return stream.getvalue()


def test_a_run_on_numpys_kernels_warns_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "unavailable_reason", lambda name: "not [built]")
    text = start(tmp_path)
    assert "warning: the C kernels are missing" in text
    assert "not [built]" in text


def test_an_emulated_run_warns_that_its_times_are_not_the_processors(tmp_path: Path) -> None:
    stream = io.StringIO()
    suite = Suite.from_options(scale="smoke", only="bytes", out=str(tmp_path))
    suite.device = {**suite.device, "emulator": "qemu-aarch64"}
    suite.start(1, stream)
    suite.progress.stop()

    assert "warning: qemu-aarch64 emulates" in stream.getvalue()
    assert "emulates" not in start(tmp_path / "other")


def test_a_run_on_a_gpu_without_triton_warns_of_that_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selection, "unavailable_reason", {"c": "", "triton": "no triton"}.get)
    assert missing_kernels("cpu") is None
    warning = missing_kernels("cuda") or ""
    assert "Triton kernels are missing" in warning
    assert warning.endswith("no triton")
    assert "\n" not in warning


def test_a_record_names_the_kernel_that_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = Suite.from_options(scale="smoke", only="bytes", out=str(tmp_path))
    for reason, kernel in (("", "c"), ("not built", "numpy")):
        monkeypatch.setattr(selection, "unavailable_reason", lambda name, reason=reason: reason)
        case = CaseName.of("bytes", "cnn", kernel)
        suite.record(case=case, config={}, metrics={}, headline="")
        (made,) = (r for r in read_records(tmp_path) if r.case == str(case))
        assert made.provenance.zo_kernel == kernel
        assert not check_file(tmp_path / "records" / case.file_name).problems


def test_a_run_on_the_c_kernels_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "unavailable_reason", lambda name: "")
    assert missing_kernels("cpu") is missing_kernels("cuda") is None
    assert "kernels" not in start(tmp_path)
