"""The tests that ``make test-fast`` leaves out because they are long: a list, and how to write it.

    pytest -m "not process and not network and not browser and not slow" -n 2 \\
        --durations=0 --durations-min=0.005 | tee LOG
    python tests/helpers/long_tests.py LOG

rewrites tests/long_tests.txt from the times of an idle machine.  A line is a file, one of whose
fixtures is long, or a test whose cases together are.  A number after a test says how many of its
cases stay in the fast subset: as many as are not long together.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIST = ROOT / "tests" / "long_tests.txt"
LEAST_S = 0.4
_LINE = re.compile(r"\s*([0-9.]+)s (call|setup)\s+(tests/\S+?)::(\w+)")


def listed() -> Mapping[str, int]:
    """Return the list: files, and tests as ``file::function``, with how many cases stay."""
    lines = (line.partition(" ") for line in LIST.read_text(encoding="utf-8").splitlines())
    return {name: int(stay or 0) for name, _, stay in lines}


def listed_name(case: str, names: Mapping[str, int]) -> str | None:
    """Return the name by which a case is listed; None where it is not."""
    for name in (case.split("[", maxsplit=1)[0], case.split("::", maxsplit=1)[0]):
        if name in names:
            return name
    return None


def stays(index: int, count: int, stay: int) -> bool:
    """Return whether a case stays, where `stay` of `count` do, evenly spread."""
    return index * stay % count < stay


def mark_long(items: list[pytest.Item]) -> None:
    """Give the listed tests the marker ``long``, except for the cases that stay."""
    names, cases = listed(), defaultdict[str, list[pytest.Item]](list)
    for item in items:
        if name := listed_name(item.nodeid, names):
            cases[name].append(item)
    for name, found in cases.items():
        for index, item in enumerate(found):
            if not stays(index, len(found), names[name]):
                item.add_marker("long")


def long_in(log: str) -> dict[str, int]:
    """Return the long files and tests in what ``pytest --durations`` printed, and what stays."""
    files, times = set(), defaultdict[str, list[float]](list)
    for seconds, phase, path, test in _LINE.findall(log):
        if phase == "call":
            times[f"{path}::{test}"].append(float(seconds))
        elif float(seconds) >= LEAST_S:
            files.add(path)
    tests = {
        name: int(LEAST_S * len(each) / sum(each))
        for name, each in times.items()
        if sum(each) > LEAST_S and name.split("::")[0] not in files
    }
    return dict.fromkeys(files, 0) | tests


if __name__ == "__main__":
    names = long_in(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines = (f"{name} {stay or ''}".rstrip() for name, stay in sorted(names.items()))
    LIST.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
