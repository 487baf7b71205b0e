"""Settings of the caller's environment that must not reach a measurement, a check or a report."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOREIGN = (
    *("PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONINSPECT"),  # other code, other outcomes
    *("PYTHONDEVMODE", "PYTHONMALLOC", "PYTHONTRACEMALLOC"),  # other memory
    *("COVERAGE_PROCESS_START", "COV_CORE_SOURCE", "COV_CORE_CONFIG", "COV_CORE_DATAFILE"),  # slow
    *("MPLBACKEND", "MATPLOTLIBRC"),  # a notebook's, which this process cannot load
)
_OWN_PYTEST = (
    *("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"),
    *("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"),  # which switch pytest-benchmark off
)


def drop_foreign_settings() -> None:
    """Remove them from this process's environment, and so from its children's."""
    for name in _FOREIGN:
        os.environ.pop(name, None)


def require_assertions() -> None:
    """Start the command again where Python was told to drop assertions and docstrings.

    The help is made of docstrings, and what is measured must be the code that is tested.
    """
    if sys.flags.optimize:
        drop_foreign_settings()
        os.execv(sys.executable, [sys.executable, "-m", "bench", *sys.argv[1:]])


@contextmanager
def own_pytest() -> Iterator[list[str]]:
    """Give the options by which pytest uses nothing of the caller's.

    Its settings file, root, conftests and plug-ins are the suite's own while the context lasts.
    """
    here = Path(__file__).parent
    before = {name: os.environ.pop(name, None) for name in _OWN_PYTEST}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = ["-c", str(here / "pytest.ini"), "--rootdir", str(here.parent / "cases")]
    options += ["--noconftest", "-p", "no:cacheprovider"]
    try:
        with tempfile.TemporaryDirectory() as unused:  # not .benchmarks in the user's folder
            options += ["--benchmark-storage", f"file://{unused}"]
            yield [*options, "-p", "pytest_benchmark.plugin", "-p", "bench.plugin"]
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
