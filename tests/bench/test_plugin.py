"""``pytest --benchmark``, run as a user runs it: in a process and a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.store import read_records


def run_pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_benchmark_runs_the_suite_from_any_folder_and_ends_with_the_report(tmp_path: Path) -> None:
    words = ("--benchmark", "--scale", "smoke", "--only", "bytes")
    done = run_pytest(tmp_path, *words, "--out", "results")
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(Path("results") / "report.html") in done.stdout
    assert (tmp_path / "results" / "report.html").stat().st_size > 1000
    records = {record.case: record for record in read_records(tmp_path / "results")}
    assert records["bytes/resnet18/zo"].metrics["up_scalars"].value == 12
    assert records["bytes/resnet18/fedavg"].metrics["up_scalars"].value == 4 * 11_173_962


def test_the_command_runs_in_a_folder_whose_pytest_makes_errors_of_warnings(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    words = ("run", "--scale", "smoke", "--only", "bytes", "--model", "cnn", "--out", "results")
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_records(tmp_path / "results")


def test_plain_pytest_runs_tests_and_no_benchmark(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    done = run_pytest(tmp_path)
    assert done.returncode == 0
    assert "1 passed" in done.stdout
    assert not (tmp_path / "zobench-results").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--scale", "huge"), "smoke, default, laptop"),
        (("--only", "nonsense"), "memory, bytes"),
        (("--out", "file/below"), "cannot be written"),
    ],
)
def test_a_users_mistake_is_a_usage_error_without_a_traceback(
    tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    (tmp_path / "file").write_text("")
    done = run_pytest(tmp_path, "--benchmark", *words)
    assert done.returncode == int(pytest.ExitCode.USAGE_ERROR)
    assert expected in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_plug_in_imports_nothing_heavy() -> None:
    code = (
        "import sys, bench.plugin;"
        "print([m for m in ('torch', 'numpy', 'matplotlib', 'rich', 'psutil') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pytest_benchmarks_own_file_and_command_work_on_the_time_cases(tmp_path: Path) -> None:
    words = ("--benchmark", "--scale", "smoke", "--only", "time", "--model", "cnn")
    done = run_pytest(tmp_path, *words, "--out", "results", "--benchmark-json", "time.json")
    assert done.returncode == 0, done.stdout + done.stderr
    compare = [sys.executable, "-m", "pytest_benchmark", "compare", "time.json"]
    told = subprocess.run(compare, cwd=tmp_path, capture_output=True, text=True, check=True)
    for method in ("inference", "zo", "fedavg"):
        assert f"cnn-{method}-1" in told.stdout
