"""Let all tests import tests/helpers; fix what they draw; skip what is not installed."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "helpers"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--expected-skips",
        action="append",
        type=Path,
        metavar="FILE",
        help="fail if a test skips that is in none of these lists; may be repeated",
    )


def pytest_configure(config: pytest.Config) -> None:
    from expected_skips import SkipCheck

    # A shell's background job ignores Ctrl-C; tests that send it, and their children, must not.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not os.access(config.rootpath, os.W_OK):  # a read-only checkout
        folder = Path(tempfile.gettempdir()) / f"zobench-hypothesis-{os.getuid()}"
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(folder))
    lists = config.getoption("--expected-skips")
    if not lists or hasattr(config, "workerinput"):
        return
    try:
        config.pluginmanager.register(SkipCheck(lists))
    except (OSError, ValueError) as error:
        raise pytest.UsageError(f"--expected-skips: {error}") from error


@pytest.hookimpl(tryfirst=True)  # before -m looks at the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from long_tests import mark_long
    from optional import skip_what_is_missing

    mark_long(items)
    skip_what_is_missing(items)


@pytest.hookimpl(tryfirst=True)  # before fixtures draw
def pytest_runtest_setup() -> None:
    """Let what a test draws depend neither on the tests before it nor on the worker."""
    random.seed(0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.default_generator.manual_seed(
            0
        )  # of the CPU; seeding all devices takes a millisecond
