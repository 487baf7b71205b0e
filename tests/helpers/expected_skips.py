"""Lists of the tests that may skip in an environment: ``pytest --expected-skips FILE``.

A line is ``TEST: REASON``: the beginning of a test's id and of its reason. Lines that start with
``#`` are comments. A test that skips and is in no line makes the run fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest


def read_list(path: Path) -> list[tuple[str, str]]:
    """Read the (test, reason) pairs of a list.

    Raises:
        ValueError: a line is not ``TEST: REASON``.
    """
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        test, separator, reason = line.partition(": ")
        if not separator or not reason.strip():
            raise ValueError(f"{path}:{number} must be 'TEST: REASON', got {line!r}")
        pairs.append((test.strip(), reason.strip()))
    return pairs


class SkipCheck:
    """The pytest plug-in of one run."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = " and ".join(map(str, paths))
        self.expected = [pair for path in paths for pair in read_list(path)]
        self.unexpected: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = text.removeprefix("Skipped: ")
        if not any(report.nodeid.startswith(t) and reason.startswith(r) for t, r in self.expected):
            self.unexpected[report.nodeid] = reason

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unexpected and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unexpected:
            terminalreporter.section(f"skips that are not in {self.paths}", red=True)
            for test, reason in self.unexpected.items():
                terminalreporter.write_line(f"{test}: {reason}")
