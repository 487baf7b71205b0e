"""The pytest plug-in: ``--benchmark`` runs the suite from any folder, and then writes the report.

It is loaded by every pytest of its environment, so nothing heavy is imported at the top.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from bench.cli import EXIT_ENVIRONMENT
from bench.suite.foreign_settings import drop_foreign_settings
from bench.suite.pytest_options import add_options, require_undisturbed, table_options

if TYPE_CHECKING:
    from bench.suite.suite import Suite

pytest_plugins = ("bench.peak_plugin",)
_BENCHMARK = "--benchmark"
_CHOOSING = ("-k", "-m", "--deselect")  # options by which a user leaves cases out


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register --benchmark alone: a project's own --device or --model must stay free."""
    parser.getgroup("zobench", "zeroth-order benchmark suite").addoption(
        _BENCHMARK,
        action="store_true",
        help="run the benchmark suite instead of tests, and write a report; its options are in"
        " pytest --benchmark --help",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser) -> None:
    """Add the suite's options, now that all plug-ins are known; load no conftest of the caller's.

    A conftest may skip, reorder or disturb cases, which are none of its project's tests.
    """
    asked = _BENCHMARK in early_config.invocation_params.args
    if asked:
        early_config.known_args_namespace.noconftest = True
        add_options(parser, early_config.pluginmanager)
    elif early_config.known_args_namespace.benchmark:
        raise pytest.UsageError(
            "give --benchmark on the command line: from addopts or PYTEST_ADDOPTS it comes too late"
            " for the suite's other options"
        )


def pytest_configure(config: pytest.Config) -> None:
    """Point pytest at the suite's cases where --benchmark is given."""
    if not config.option.benchmark or config.option.help:
        return
    from bench.suite.suite import Suite, cases_files

    require_undisturbed(config)
    drop_foreign_settings()
    try:
        suite = Suite.from_options(
            scale=config.option.scale,
            only=config.option.only,
            out=config.option.out,
            model=config.option.model,
            input_shape=config.option.input_shape,
            device=config.option.device,
            precision=config.option.precision,
            energy_csv=config.option.energy_csv,
            campaign=table_options(config),
        )
    except (ValueError, OSError) as error:
        raise pytest.UsageError(str(error)) from error
    except ImportError as error:
        pytest.exit(str(error), returncode=EXIT_ENVIRONMENT)
    config.stash[_SUITE] = suite
    config.pluginmanager.register(_SuiteFixture(suite))
    config.args = [str(path) for path in cases_files(suite.groups)]
    suite.progress.is_quiet = config.option.verbose < 0
    if config.option.verbose <= 0:
        config.option.verbose = -1  # the suite's own progress takes the place of pytest's
    config.option.benchmark_quiet = True


_SUITE = pytest.StashKey["Suite"]()


class _SuiteFixture:
    """The fixture of the cases; registered only where they run, so that tests never see it."""

    def __init__(self, running: Suite) -> None:
        self._running = running

    @pytest.fixture
    def suite(self) -> Suite:
        """The run that a case belongs to: its scale, and where it puts its record."""
        return self._running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each case the parameters that the scale sets, by the case's own ``parameters``."""
    parameters = getattr(metafunc.function, "parameters", None)
    if parameters is not None and _SUITE in metafunc.config.stash:
        names, values = parameters(metafunc.config.stash[_SUITE].scale)
        metafunc.parametrize(names, values)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    """Keep the suite's order, without cases that its scale gives no parameters.

    What another plug-in leaves out, and nobody asked to leave out, is noted as unanswered.
    """
    collected = list(items)
    yield
    if (running := config.stash.get(_SUITE, None)) is None:
        return
    kept = set(items)
    cases = [item for item in collected if _has_parameters(item, running)]
    items[:] = [item for item in cases if item in kept]
    if not any(word.startswith(_CHOOSING) for word in config.invocation_params.args):
        running.unanswered += [item.name for item in cases if item not in kept]


def _has_parameters(item: pytest.Item, suite: Suite) -> bool:
    parameters = getattr(getattr(item, "function", None), "parameters", None)
    return parameters is None or bool(parameters(suite.scale)[1])


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell the progress display how many cases there are."""
    if _SUITE in session.config.stash:
        session.config.stash[_SUITE].start(len(session.items), _uncaptured_stdout())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Show which case is running, and note one that leaves no record."""
    running = item.config.stash.get(_SUITE, None)
    if running is None:
        return (yield)
    before = running.num_answers
    running.progress.begin(item.name)
    result = yield
    running.progress.end()
    if running.num_answers == before:
        running.unanswered.append(item.name)
    return result


def pytest_report_teststatus(
    report: pytest.TestReport, config: pytest.Config
) -> tuple[str, str, str] | None:
    """Keep pytest's dots out of the suite's progress."""
    if _SUITE in config.stash and report.passed:
        return ("passed" if report.when == "call" else "", "", "")
    return None


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the report and end with a table and its path."""
    if _SUITE in config.stash and not config.option.collectonly:
        _write_report(config.stash[_SUITE])
        if unanswered := config.stash[_SUITE].unanswered:
            terminalreporter.line(f"no record of {len(unanswered)} cases: {', '.join(unanswered)}")


def _write_report(suite: Suite) -> None:
    """Write the report of a run; print the summary and where everything is."""
    from bench.records.store import StoreError, read_records
    from bench.report.page import write_report
    from bench.report.terminal import summary_table

    try:
        records = read_records(suite.folder)
    except StoreError:  # every case failed before it had a result; pytest reports why
        return
    report = write_report(suite.folder)
    console = suite.progress.console
    console.print(summary_table(records))
    console.print(f"records  {suite.folder / 'records'}", soft_wrap=True)
    console.print(f"plots    {suite.folder / 'plots'}", soft_wrap=True)
    console.print(f"report   {report}", soft_wrap=True)


def _uncaptured_stdout() -> TextIO:
    """Open the real standard output a second time: during a case pytest redirects the first."""
    try:
        return os.fdopen(os.dup(sys.stdout.fileno()), "w")
    except OSError:  # standard output is no file, as under a test's capture
        return sys.stdout


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the progress display before pytest writes its own lines; fail without all records."""
    if (running := session.config.stash.get(_SUITE, None)) is None:
        return
    running.progress.stop()
    is_complete = session.config.option.collectonly or not running.unanswered
    if session.exitstatus == pytest.ExitCode.OK and not is_complete:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the second standard output; the summary is written by then."""
    stream = config.stash[_SUITE].progress.console.file if _SUITE in config.stash else sys.stdout
    if isinstance(stream, TextIOWrapper) and stream not in {sys.stdout, sys.__stdout__}:
        stream.close()
