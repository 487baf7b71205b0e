"""One new file and one row are a new method: the example of docs/extending.md, in a copy."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.process, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
REGISTRY = "zo_core/algorithms/registry.py"
LAWS = ("test_algorithms.py", "test_switches.py", "test_config.py", "test_verdict.py")


def example() -> tuple[str, str, str]:
    """Where the new file goes, its code, and the line that the registry gains."""
    page = (ROOT / "docs" / "extending.md").read_text()
    (section,) = re.findall(r"^## A method\n(.*?)^## ", page, flags=re.DOTALL | re.MULTILINE)
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    (diff,) = re.findall(r"```diff\n(.*?)```", section, flags=re.DOTALL)
    (path,) = re.findall(r"`(zo_core/algorithms/baselines/\w+\.py)`", section)
    (row,) = re.findall(r"^\+(.*)$", diff, flags=re.MULTILINE)
    return path, code, row


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source with the example added: one file, one row, nothing else."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("zo_core", "bench", "devices", "tests/zo_core"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    path, code, row = example()
    (folder / path).write_text(code)
    registry = folder / REGISTRY
    before = registry.read_text()
    table = "ALGORITHMS: dict[str, Row] = {\n"
    after = before.replace(table, table + row + "\n")
    assert len(after.splitlines()) == len(before.splitlines()) + 1
    registry.write_text(after)
    return folder


def run(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=copy, capture_output=True, text=True, check=False
    )


def test_the_command_trains_it_and_lists_its_options(copy: Path) -> None:
    page = run(copy, "-m", "bench", "train", "--help").stdout
    assert "growing" in page
    assert "--first-cohort" in page
    small = "--clients 6 --rounds 4 --pivot 0 --warmup-cohort 1 --first-cohort 3 --json -q"
    done = run(copy, "-m", "bench", "train", "--algorithm", "growing", *small.split())
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["config"]["first_cohort"] == 3
    assert record["details"]["label"] == "Growing cohorts"
    assert record["details"]["seconds_by_method"].keys() == {"growing"}


def test_other_methods_refuse_its_option(copy: Path) -> None:
    done = run(copy, "-m", "bench", "train", "--algorithm", "mezo", "--first-cohort", "3")
    assert done.returncode == 2
    assert "first_cohort must be left out for mezo: it is an option of growing" in done.stderr


def test_the_table_of_laws_runs_over_it(copy: Path) -> None:
    laws = [f"tests/zo_core/{name}" for name in LAWS]
    done = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "growing", *laws)
    assert done.returncode == 0, done.stdout
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 20
