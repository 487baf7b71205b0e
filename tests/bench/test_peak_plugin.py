"""The fixture peak_memory and the marker limit_peak, in a project of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.peak_memory import PeakMemory
from bench.records.store import read_records

pytestmark = pytest.mark.process

PROJECT = """
import os
import re
import pytest

EXTRA_MIB = int(os.environ.get("EXTRA_MIB", "0"))


def step() -> None:
    block = bytearray((30 + EXTRA_MIB) << 20)
    block[::4096] = b"x" * len(block[::4096])


def test_step(peak_memory) -> None:
    peak = peak_memory.fresh(step)
    assert 29 << 20 < peak.above_bytes
    assert peak.baseline_bytes > 0


@pytest.mark.limit_peak("40 MiB")
def test_limit() -> None:
    step()
"""


def run_pytest(folder: Path, *words: str, extra_mib: int = 0) -> subprocess.CompletedProcess[str]:
    outside = {name: v for name, v in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=outside | {"EXTRA_MIB": str(extra_mib)},
    )


def compare(folder: Path, old: str, new: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", "compare", old, new, "--json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two equal runs, and one that holds 20 MiB more."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "test_mine.py").write_text(PROJECT)
    for name in ("old", "same"):
        done = run_pytest(folder, "--peak-records", name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "peak memory above baseline" in done.stdout
    return folder


def test_more_memory_than_the_limit_fails_the_test(project: Path) -> None:
    done = run_pytest(project, "--peak-records", "more", extra_mib=20)
    assert done.returncode == int(pytest.ExitCode.TESTS_FAILED)
    assert re.search(r"limit_peak: process_peak is (49|50)", done.stdout)
    assert "1 failed, 1 passed" in done.stdout
    compared = compare(project, "old", "more")
    assert compared.returncode == 1, compared.stdout + compared.stderr
    rows = json.loads(compared.stdout)["rows"]
    failed = {row["case"] for row in rows if row["state"] == "fails"}
    assert failed == {"tests/test_mine.py/test_step", "tests/test_mine.py/test_limit"}


def test_equal_runs_compare_as_equal(project: Path) -> None:
    compared = compare(project, "old", "same")
    assert compared.returncode == 0, compared.stdout + compared.stderr
    metrics = {record.case: set(record.metrics) for record in read_records(project / "old")}
    assert metrics["tests/test_mine.py/test_step"] == {"process_peak", "baseline_process_peak"}


def test_workers_of_xdist_write_the_same_records(project: Path) -> None:
    done = run_pytest(project, "-n", "2", "--peak-records", "workers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "peak memory above baseline" in done.stdout
    assert len(read_records(project / "workers")) == 2


FURTHER = """
import pytest
import torch


def test_tensors(peak_memory):
    weight = torch.zeros(1000)
    with peak_memory.tensors(parameters=[weight]) as peak:
        weight * 2
    assert (peak.baseline_bytes, peak.above_bytes) == (4000, 4000)


@pytest.mark.limit_peak("1 KiB")
def test_tensors_above(peak_memory):
    with peak_memory.tensors():
        torch.zeros(1000)


@pytest.mark.limit_peak("1 MiB")
def test_unused(peak_memory):
    pass


def test_twice(peak_memory):
    with peak_memory():
        pass
    with pytest.raises(ValueError, match="pass name"):
        with peak_memory():
            pass
    with peak_memory("second"):
        pass


def test_benchmark(benchmark, peak_memory):
    with peak_memory.tensors():
        torch.zeros(1000)
    benchmark(lambda: None)
"""


def test_levels_names_and_extra_info(tmp_path: Path) -> None:
    (tmp_path / "test_further.py").write_text(FURTHER)
    done = run_pytest(tmp_path, "--benchmark-json", "times.json", "-p", "no:randomly")
    assert "2 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    assert "tensor_peak is 3.91 KiB above" in done.stdout
    assert "measured nothing" in done.stdout
    (timed,) = json.loads((tmp_path / "times.json").read_text())["benchmarks"]
    assert timed["extra_info"]["tensor_peak"]["above_bytes"] == 4000
    assert not (tmp_path / "records").exists()


OTHERS = """
import pytest


@pytest.fixture
def suite():
    return "mine"


def test_own(suite):
    assert suite == "mine"


def test_none(request):
    with pytest.raises(pytest.FixtureLookupError):
        request.getfixturevalue("bench_suite")
"""


def test_the_suites_fixture_is_not_in_other_projects(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(OTHERS)
    (tmp_path / "test_bare.py").write_text("def test_bare(suite):\n    pass\n")
    done = run_pytest(tmp_path)
    assert "2 passed, 1 error" in done.stdout, done.stdout
    assert "fixture 'suite' not found" in done.stdout


@pytest.mark.parametrize("size", ["'200'", "", "200"])
def test_a_limit_that_is_not_a_size_is_refused_before_any_test(tmp_path: Path, size: str) -> None:
    (tmp_path / "test_it.py").write_text(
        f"import pytest\n@pytest.mark.limit_peak({size})\ndef test_it():\n    pass\n"
    )
    done = run_pytest(tmp_path)
    assert done.returncode == int(pytest.ExitCode.USAGE_ERROR)
    assert "test_it: limit_peak" in done.stderr


def test_an_error_in_a_fresh_process_is_named() -> None:
    with pytest.raises(RuntimeError, match="math:sqrt"):
        PeakMemory().fresh("math:sqrt", -1)
