"""The pytest plug-in: ``--benchmark`` runs the suite from any folder, and then writes the report.

It is loaded by every pytest of its environment, so nothing heavy is imported at the top.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from bench.cli import EXIT_ENVIRONMENT
from bench.suite.table_options import TABLE_OPTIONS, option_of

if TYPE_CHECKING:
    from bench.suite.suite import Suite

_BENCHMARK = "--benchmark"


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Register --benchmark, and the suite's options only beside it.

    Every pytest of the environment comes by here, and pytest does not start where two register one
    name: a project's own --device or --model must stay free.
    """
    parser.getgroup("zobench", "zeroth-order benchmark suite").addoption(
        _BENCHMARK,
        action="store_true",
        help="run the benchmark suite instead of tests, and write a report; its options are in"
        " pytest --benchmark --help",
    )
    if _is_asked(pluginmanager.get_plugin("pytestconfig")):
        _add_options(parser)


def _is_asked(config: Any) -> bool:
    """Tell whether --benchmark was typed; what addopts adds is not known when options are made."""
    return _BENCHMARK in config.invocation_params.args


def _add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("zobench")
    group.addoption(
        "--scale", default="default", help="smoke, default, laptop or paper: how much it does"
    )
    group.addoption(
        "--only",
        default=None,
        metavar="GROUPS",
        help="comma-separated groups and tables, e.g. memory,bytes or table2",
    )
    group.addoption(
        "--out",
        default=None,
        metavar="DIR",
        help="folder for records, plots and report (default: zobench-results/<time>)",
    )
    group.addoption(
        "--model",
        default=None,
        help="measure this model in place of the scale's: resnet18, vit, torchvision:NAME, or "
        "package.module:factory for your own",
    )
    group.addoption(
        "--input-shape",
        default=None,
        metavar="SHAPE",
        help="shape of one input of --model, e.g. 3,224,224, where its factory gives no example",
    )
    group.addoption("--device", default="cpu", help="where steps run: auto, cpu or cuda")
    group.addoption(
        "--energy-csv",
        default=None,
        metavar="FILE",
        help="an external power meter's log, time and watts in each row (default: this machine's"
        " own sensors)",
    )
    tables = parser.getgroup("zobench tables", "the paper's tables, e.g. --only table2")
    for name, (kind, text) in TABLE_OPTIONS.items():
        tables.addoption(f"--{name}", help=text, **option_of(kind))


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Refuse --benchmark from elsewhere before its options, not registered, are found unknown."""
    if early_config.known_args_namespace.benchmark and not _is_asked(early_config):
        raise pytest.UsageError(
            "give --benchmark on the command line: from addopts or PYTEST_ADDOPTS it comes too late"
            " for the suite's other options"
        )


def _campaign(config: pytest.Config) -> dict[str, Any]:
    """Collect the tables' options that were given."""
    given = {name: config.getoption(f"--{name}") for name in TABLE_OPTIONS}
    verify = not given.pop("no-verify")
    chosen = {name.replace("-", "_"): v for name, v in given.items() if v is not None}
    return {**chosen, "verify": verify}


def pytest_configure(config: pytest.Config) -> None:
    """Point pytest at the suite's cases where --benchmark is given."""
    if not config.option.benchmark or config.option.help:
        return
    from bench.suite.suite import Suite, cases_files
    from devices.energy import use_log

    _require_one_at_a_time(config)
    try:
        use_log(config.option.energy_csv)
        suite = Suite.from_options(
            scale=config.option.scale,
            only=config.option.only,
            out=config.option.out,
            model=config.option.model,
            input_shape=config.option.input_shape,
            device=config.option.device,
            campaign=_campaign(config),
        )
    except (ValueError, OSError) as error:
        raise pytest.UsageError(str(error)) from error
    except ImportError as error:
        pytest.exit(str(error), returncode=EXIT_ENVIRONMENT)
    config.stash[_SUITE] = suite
    config.args = [str(path) for path in cases_files(suite.groups)]
    suite.progress.is_quiet = config.option.verbose < 0
    if config.option.verbose <= 0:
        config.option.verbose = -1  # the suite's own progress takes the place of pytest's
    config.option.benchmark_quiet = True


def _require_one_at_a_time(config: pytest.Config) -> None:
    """Refuse what would leave cases without a time, or measure several at once."""
    if config.getoption("dist", "no") != "no":
        raise pytest.UsageError("--benchmark measures one case at a time: leave -n out")
    for option in ("benchmark_disable", "benchmark_skip"):
        if config.getoption(option):
            raise pytest.UsageError(f"leave out --{option.replace('_', '-')}: cases need a time")


_SUITE = pytest.StashKey["Suite"]()


@pytest.fixture
def suite(request: pytest.FixtureRequest) -> Suite:
    """The run that a case belongs to: its scale, and where it puts its record."""
    running: Suite = request.config.stash[_SUITE]
    return running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each case the parameters that the scale sets, by the case's own ``parameters``."""
    parameters = getattr(metafunc.function, "parameters", None)
    if parameters is not None and _SUITE in metafunc.config.stash:
        names, values = parameters(metafunc.config.stash[_SUITE].scale)
        metafunc.parametrize(names, values)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell the progress display how much there is to do."""
    if _SUITE in session.config.stash:
        session.config.stash[_SUITE].start(len(session.items), _uncaptured_stdout())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Show which case is running."""
    running = item.config.stash.get(_SUITE, None)
    if running is not None:
        running.progress.begin(item.name)
    result = yield
    if running is not None:
        running.progress.end()
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
    """Stop the progress display before pytest writes its own lines."""
    if _SUITE in session.config.stash:
        session.config.stash[_SUITE].progress.stop()
