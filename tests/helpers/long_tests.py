"""The tests that ``make test-fast`` leaves out because they are long: a list, and how to write it.

    pytest -m "not process and not network and not browser and not slow" -n 2 \\
        --durations=0 --durations-min=0.1 | tee LOG
    python tests/helpers/long_tests.py LOG

rewrites tests/long_tests.txt from the times of an idle machine.  A line is a test, one of whose
cases is long, or a file, one of whose fixtures is.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIST = ROOT / "tests" / "long_tests.txt"
LEAST_S = 0.4
_LINE = re.compile(r"\s*([0-9.]+)s (call|setup)\s+(tests/\S+?)::(\w+)")


def listed() -> frozenset[str]:
    """Return the list's files, and its tests as ``file::function``."""
    return frozenset(LIST.read_text(encoding="utf-8").splitlines())


def is_long(case: str, names: frozenset[str]) -> bool:
    """Return whether the names have a case's file or test."""
    return case.split("[", maxsplit=1)[0] in names or case.split("::", maxsplit=1)[0] in names


def mark_long(items: list[pytest.Item]) -> None:
    """Give the listed tests the marker ``long``."""
    names = listed()
    for item in items:
        if is_long(item.nodeid, names):
            item.add_marker("long")


def long_in(log: str) -> set[str]:
    """Return the long files and tests in what ``pytest --durations`` printed."""
    found = set()
    for seconds, phase, path, test in _LINE.findall(log):
        if float(seconds) >= LEAST_S:
            found.add(path if phase == "setup" else f"{path}::{test}")
    return {name for name in found if "::" not in name or name.split("::")[0] not in found}


if __name__ == "__main__":
    tests = long_in(Path(sys.argv[1]).read_text(encoding="utf-8"))
    LIST.write_text("".join(f"{test}\n" for test in sorted(tests)), encoding="utf-8")
