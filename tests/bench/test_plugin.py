"""``pytest --benchmark``, run as a user runs it: in a process and a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.cli import EXIT_ENVIRONMENT
from bench.records.record import Record
from bench.records.store import read_records
from bench.suite.suite import Suite
from bench.suite.table_options import TABLE_OPTIONS

pytestmark = pytest.mark.process

OWN = """
from torch import nn
def tiny():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 7))
"""
FOLDER = {"campaign": {"data_dir": "."}}  # that holds no data set
MODEL = "own-tiny-3x2x2"


def run_pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    outside = {name: v for name, v in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=outside
    )


@dataclass(frozen=True)
class Run:
    """A run of the suite on a model of the user's, in a folder that is not the repository."""

    folder: Path
    done: subprocess.CompletedProcess[str]

    def records(self) -> dict[str, Record]:
        return {record.case: record for record in read_records(self.folder / "results")}


@pytest.fixture(scope="module")
def own_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("anywhere")
    (folder / "own.py").write_text(OWN)
    words = ["--benchmark", "--scale", "smoke", "--only", "bytes,time", "--out", "results"]
    words += ["--model", "own:tiny", "--input-shape", "3,2,2", "--benchmark-json", "time.json"]
    done = run_pytest(folder, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(folder, done)


def test_benchmark_runs_the_suite_from_any_folder_and_ends_with_the_report(own_run: Run) -> None:
    assert str(Path("results") / "report.html") in own_run.done.stdout
    assert (own_run.folder / "results" / "report.html").stat().st_size > 1000
    assert "ResourceWarning" not in own_run.done.stderr


def test_the_users_model_takes_the_place_of_the_scales(own_run: Run) -> None:
    records = own_run.records()
    assert {case for case in records if case.startswith("bytes/")} == {
        f"bytes/{MODEL}/zo",
        f"bytes/{MODEL}/fedavg",
    }
    assert records[f"bytes/{MODEL}/zo"].metrics["up_scalars"].value == 4 * 3
    assert records[f"bytes/{MODEL}/fedavg"].metrics["up_scalars"].value == 4 * (12 * 7 + 7)
    assert {record.provenance.division for record in records.values()} == {"open"}


def test_pytest_benchmarks_own_file_and_command_work_on_the_time_cases(own_run: Run) -> None:
    compare = [sys.executable, "-m", "pytest_benchmark", "compare", "time.json"]
    told = subprocess.run(compare, cwd=own_run.folder, capture_output=True, text=True, check=True)
    for method in ("inference", "zo", "fedavg"):
        assert f"own:tiny@3x2x2-{method}-1" in told.stdout


def test_plain_pytest_runs_tests_and_no_benchmark(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    done = run_pytest(tmp_path)
    assert done.returncode == 0
    assert "1 passed" in done.stdout
    assert not (tmp_path / "zobench-results").exists()


def test_a_projects_own_options_may_have_the_names_of_the_suites(tmp_path: Path) -> None:
    names = [f"--{name}" for name in ("device", "model", "out", "scale", "only", *TABLE_OPTIONS)]
    (tmp_path / "conftest.py").write_text(
        f"def pytest_addoption(parser):\n    for name in {names}:\n        parser.addoption(name)\n"
    )
    (tmp_path / "test_one.py").write_text(
        "def test_one(pytestconfig):\n    assert pytestconfig.getoption('--device') == 'mine'\n"
    )
    done = run_pytest(tmp_path, "--device", "mine")
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_tells_of_benchmark_alone_and_beside_it_of_all_its_options(tmp_path: Path) -> None:
    plain, beside = run_pytest(tmp_path, "--help"), run_pytest(tmp_path, "--benchmark", "--help")
    assert "pytest --benchmark --help" in " ".join(plain.stdout.split())
    for name in ("scale", "input-shape", *TABLE_OPTIONS):
        assert f" --{name}" not in plain.stdout
        assert f" --{name}" in beside.stdout
    assert not (tmp_path / "zobench-results").exists()


@pytest.mark.parametrize("words", [[], ["--scale", "smoke"]], ids=str)
def test_benchmark_from_an_ini_file_is_a_usage_error(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --benchmark\n")
    done = run_pytest(tmp_path, *words)
    assert done.returncode == int(pytest.ExitCode.USAGE_ERROR)
    assert "give --benchmark on the command line" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--scale", "huge"], "smoke, default, laptop"),
        (["-n", "2"], "leave out -n"),
        (["--benchmark-disable"], "leave out --benchmark-disable"),
    ],
)
def test_a_users_mistake_is_a_usage_error_without_a_traceback(
    tmp_path: Path, words: list[str], expected: str
) -> None:
    done = run_pytest(tmp_path, "--benchmark", *words)
    assert done.returncode == int(pytest.ExitCode.USAGE_ERROR)
    assert expected in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "zobench-results").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"only": "nonsense"}, "memory, bytes"),
        ({"out": "file/below"}, "cannot be written"),
        ({"model": "nonsense"}, "one of resnet18"),
        ({"model": "no_such:thing"}, "cannot be imported"),
        ({"input_shape": "3,2,2"}, "add --model"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
        ({"campaign": {"workers": 0}}, "workers must be > 0, got 0"),
        ({"campaign": {"engine": "slurm"}}, "one of local, ray, got 'slurm'"),
        ({"campaign": {"address": "auto"}}, "add --engine ray"),
        ({"scale": "laptop", "only": "table2"}, "cifar10 needs a data folder"),
        ({"scale": "laptop", "only": "search"}, "cifar10 needs a data folder"),
        ({"scale": "laptop", "only": "table2", **FOLDER}, "put cifar-10-batches-py/data_batch_1"),
        ({"scale": "paper", "only": "table2-imagenet32", **FOLDER}, "put train_data_batch_1"),
        ({"scale": "laptop", "only": "frontier", **FOLDER}, "must hold FashionMNIST or"),
        ({"scale": "laptop", "campaign": {"engine": "ray", "data_dir": "."}}, "got --engine ray"),
    ],
)
def test_each_mistake_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: dict[str, object], expected: str
) -> None:
    """The plug-in makes usage errors of these two kinds of exception."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    options: dict[str, str | None] = {"scale": "smoke", "only": None, "out": None}
    with pytest.raises((ValueError, OSError), match=expected):
        Suite.from_options(**(options | words))  # type: ignore[arg-type]
    assert not (tmp_path / "zobench-results").exists()


def test_the_plug_in_imports_nothing_heavy() -> None:
    code = (
        "import sys, bench.plugin;"
        "print([m for m in ('torch', 'numpy', 'matplotlib', 'rich', 'psutil') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_library_that_is_not_installed_is_told_without_a_traceback(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['torchvision.datasets'] = None\n"
    code = f"{blocked}from bench.__main__ import main\nsys.exit(main())"
    words = ["run", "--scale", "laptop", "--only", "table2", "--data-dir", "."]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_ENVIRONMENT
    assert "torchvision" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
