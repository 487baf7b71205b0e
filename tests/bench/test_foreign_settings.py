"""Settings of a caller's folder, environment and plug-ins: none reaches a run of the suite."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.cli import EXIT_GATE
from bench.records.store import StoreError, read_records
from bench.suite.foreign_settings import own_pytest

pytestmark = pytest.mark.process

OWN = """
from torch import nn
def tiny():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 7))
"""
SUITE = ["--scale", "smoke", "--only", "bytes", "--out", "results"]
SUITE += ["--model", "own:tiny", "--input-shape", "3,2,2"]
CASES = {"bytes/own-tiny-3x2x2/zo", "bytes/own-tiny-3x2x2/fedavg"}


def run(folder: Path, words: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    (folder / "own.py").write_text(OWN)
    outside = {name: v for name, v in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=outside | {"PYTHONPATH": str(folder)} | env,
    )


def cases(folder: Path) -> set[str]:
    try:
        return {record.case for record in read_records(folder / "results")}
    except StoreError:
        return set()


def install(folder: Path, name: str, code: str) -> None:
    """Install a pytest plug-in the way pip does: a module, and an entry point that names it."""
    (folder / f"{name}_plugin.py").write_text(code)
    info = folder / f"pytest_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pytest-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{name} = {name}_plugin\n")


def option_of_same_name(folder: Path) -> None:
    install(folder, "stage", "def pytest_addoption(parser):\n    parser.addoption('--device')\n")


def deselecting_plugin(folder: Path) -> None:
    code = "def pytest_collection_modifyitems(items):\n    items[:] = items[:1]\n"
    install(folder, "half", code)


def skipping_plugin(folder: Path) -> None:
    code = "import pytest\ndef pytest_runtest_setup(item):\n    pytest.skip('not today')\n"
    install(folder, "skip", code)


def skipping_conftest(folder: Path) -> None:
    (folder / "conftest.py").write_text(
        "import pytest\ndef pytest_runtest_setup(item):\n    pytest.skip('not today')\n"
    )


def selecting_addopts(folder: Path) -> None:
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --benchmark-only\n")


def settings_that_need_a_plugin(folder: Path) -> None:
    (folder / "pytest.ini").write_text("[pytest]\nrequired_plugins = pytest-absent\n")


def nothing(folder: Path) -> None:
    pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("foreign", "env"),
    [
        (option_of_same_name, {}),
        (deselecting_plugin, {}),
        (skipping_plugin, {}),
        (skipping_conftest, {}),
        (selecting_addopts, {}),
        (settings_that_need_a_plugin, {}),
        (nothing, {"PYTEST_ADDOPTS": "-k absent"}),
        (nothing, {"PYTEST_PLUGINS": "absent_plugin"}),
        (nothing, {"PYTEST_XDIST_WORKER": "gw0"}),
        (nothing, {"MPLBACKEND": "module://absent.backend"}),
        (nothing, {"PYTHONOPTIMIZE": "2"}),
    ],
)
def test_the_command_runs_all_cases_whatever_the_caller_has(
    tmp_path: Path, foreign: Callable[[Path], None], env: dict[str, str]
) -> None:
    foreign(tmp_path)
    done = run(tmp_path, ["bench", "run", *SUITE], **env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cases(tmp_path) == CASES
    assert (tmp_path / "results" / "report.html").exists()


@pytest.mark.slow
def test_all_foreign_settings_at_once_leave_the_run_as_it_is(tmp_path: Path) -> None:
    option_of_same_name(tmp_path)
    skipping_plugin(tmp_path)
    skipping_conftest(tmp_path)
    selecting_addopts(tmp_path)
    env = {"PYTEST_ADDOPTS": "-k absent", "MPLBACKEND": "module://absent.backend"}
    done = run(tmp_path, ["bench", "run", *SUITE], PYTHONOPTIMIZE="2", **env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cases(tmp_path) == CASES
    assert (tmp_path / "results" / "report.html").exists()


def test_pytest_names_the_plugin_whose_option_is_in_the_way(tmp_path: Path) -> None:
    option_of_same_name(tmp_path)
    done = run(tmp_path, ["pytest", "--benchmark", *SUITE])
    assert done.returncode == int(pytest.ExitCode.USAGE_ERROR)
    assert "stage has an option --device too: add -p no:stage" in done.stderr
    assert "zobench run" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_pytest_runs_without_the_plugin_that_was_in_the_way(tmp_path: Path) -> None:
    option_of_same_name(tmp_path)
    done = run(tmp_path, ["pytest", "--benchmark", "-p", "no:stage", *SUITE])
    assert done.returncode == 0, done.stdout + done.stderr
    assert cases(tmp_path) == CASES


@pytest.mark.parametrize("word", ["--benchmark-only", "--benchmark-skip", "-n 2"])
def test_pytest_refuses_settings_that_leave_cases_out(tmp_path: Path, word: str) -> None:
    (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = {word}\n")
    done = run(tmp_path, ["pytest", "--benchmark", *SUITE])
    assert done.returncode == int(pytest.ExitCode.USAGE_ERROR)
    assert f"leave out {word.split(maxsplit=1)[0]}" in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_pytest_loads_no_conftest_of_the_callers(tmp_path: Path) -> None:
    skipping_conftest(tmp_path)
    done = run(tmp_path, ["pytest", "--benchmark", *SUITE])
    assert done.returncode == 0, done.stdout + done.stderr
    assert cases(tmp_path) == CASES


@pytest.mark.slow
@pytest.mark.parametrize("plugin", [skipping_plugin, deselecting_plugin])
def test_a_case_without_a_record_fails_the_run(
    tmp_path: Path, plugin: Callable[[Path], None]
) -> None:
    plugin(tmp_path)
    done = run(tmp_path, ["pytest", "--benchmark", *SUITE])
    assert done.returncode == EXIT_GATE, done.stdout + done.stderr
    assert "no record of" in done.stdout
    assert "fedavg" in done.stdout


@pytest.mark.slow
def test_cases_that_the_user_leaves_out_are_not_missed(tmp_path: Path) -> None:
    done = run(tmp_path, ["pytest", "--benchmark", "-k", "zo", *SUITE])
    assert done.returncode == 0, done.stdout + done.stderr
    assert cases(tmp_path) == {"bytes/own-tiny-3x2x2/zo"}


def test_help_does_not_depend_on_optimisation(tmp_path: Path) -> None:
    plain = run(tmp_path, ["bench", "train", "--help"])
    stripped = run(tmp_path, ["bench", "train", "--help"], PYTHONOPTIMIZE="2")
    assert plain.returncode == stripped.returncode == 0
    assert stripped.stdout == plain.stdout


def test_pytests_own_settings_are_the_callers_again_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-x")
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)
    before = dict(os.environ)
    with own_pytest():
        assert "PYTEST_ADDOPTS" not in os.environ
    assert dict(os.environ) == before
