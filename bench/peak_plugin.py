"""The meters in anyone's tests: fixture ``peak_memory``, marker ``limit_peak``, their records.

``bench.plugin`` names this file, so it is loaded by every pytest of its environment: nothing heavy
is imported at the top.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from bench.peak_memory import Peak, PeakMemory

_MARKER = "limit_peak"
_RECORDS = "--peak-records"
_PROPERTY = "peak_memory"  # of a report, so that xdist's workers hand it on
_METER = pytest.StashKey["PeakMemory"]()
_DEVICE = pytest.StashKey[Mapping[str, Any]]()
_MOST_LINES = 20  # of the summary


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the option that stores what tests measure."""
    parser.getgroup("zobench").addoption(
        _RECORDS,
        metavar="FOLDER",
        help="store the peaks of tests that use peak_memory or limit_peak as records in FOLDER;"
        " compare two folders with `zobench compare OLD NEW`",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(size): fail if a peak of the test's peak_memory, or without one the test's own"
        ' peak above its baseline, is larger than size, such as "200 MiB"',
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a limit that is not a size before any test runs.

    Raises:
        UsageError: a marker has none.
    """
    for item in items:
        try:
            _limit_of(item)
        except (ValueError, TypeError, IndexError) as error:
            raise pytest.UsageError(f"{item.nodeid}: {_MARKER}: {error}") from error


@pytest.fixture
def peak_memory(request: pytest.FixtureRequest) -> PeakMemory:
    """Measure peak memory: of a region, of a call in a fresh process, of tensors, on a GPU."""
    from bench.peak_memory import PeakMemory

    meter = PeakMemory()
    request.node.stash[_METER] = meter
    return meter


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Measure a test that has a limit and no meter; store all peaks; compare with the limit."""
    meter, limit = item.stash.get(_METER, None), _limit_of(item)
    if meter is None and limit is None:
        return (yield)
    is_own = meter is None
    if meter is None:
        from bench.peak_memory import PeakMemory

        meter = PeakMemory()
    try:
        with meter() if is_own else nullcontext():
            result = yield
    finally:
        _store(item, meter.peaks)
    if limit is not None:
        _compare_with_limit(meter.peaks, limit)
    return result


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List the largest peaks."""
    from bench.format import format_bytes

    found = [
        (peak["above_bytes"], f"{report.nodeid} ({peak['name']})")
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
        for name, peak in getattr(report, "user_properties", ())
        if name == _PROPERTY and report.when == "call" and peak["above_bytes"] is not None
    ]
    if found:
        terminalreporter.section("peak memory above baseline")
    for above_bytes, words in sorted(found, reverse=True)[:_MOST_LINES]:
        terminalreporter.line(f"{format_bytes(above_bytes):>10}  {words}")


def _limit_of(item: pytest.Item) -> int | None:
    marker = item.get_closest_marker(_MARKER)
    if marker is None:
        return None
    from bench.sizes import parse_size

    return parse_size(str(marker.args[0]), _MARKER)


def _compare_with_limit(peaks: list[Peak], limit_bytes: int) -> None:
    """Fail a test whose peak is above its limit, or is not known."""
    from bench.format import format_bytes

    if not peaks:
        pytest.fail(f"{_MARKER}: the test has peak_memory but measured nothing", pytrace=False)
    for peak in peaks:
        if peak.above_bytes is None:
            pytest.fail(
                f"{_MARKER}: {peak.name} could not be measured: {peak.reason}", pytrace=False
            )
        if peak.above_bytes > limit_bytes:
            pytest.fail(
                f"{_MARKER}: {peak.name} is {format_bytes(peak.above_bytes)} above the baseline, "
                f"the limit is {format_bytes(limit_bytes)} ({peak.method})",
                pytrace=False,
            )


def _store(item: pytest.Item, peaks: list[Peak]) -> None:
    """Hand the peaks to the summary, to pytest-benchmark's file and to the records."""
    item.user_properties += [(_PROPERTY, peak.to_json()) for peak in peaks]
    benchmark = getattr(item, "funcargs", {}).get("benchmark")
    if benchmark is not None and hasattr(benchmark, "extra_info"):
        benchmark.extra_info.update({peak.name: peak.to_json() for peak in peaks})
    folder = item.config.getoption(_RECORDS)
    if folder and peaks:
        _write_record(item, Path(item.config.invocation_params.dir, folder), peaks)


def _write_record(item: pytest.Item, folder: Path, peaks: list[Peak]) -> None:
    from bench.groups import TESTS
    from bench.records.case_name import CaseName
    from bench.records.record import Record, provenance
    from bench.records.store import open_store, write_record

    if _DEVICE not in item.config.stash:
        import devices

        item.config.stash[_DEVICE] = devices.detect().to_json()
    parts = [quote(part, safe="[]=,") for part in item.nodeid.split("::")]
    record = Record(
        case=str(CaseName.of(TESTS, *parts)),
        group=TESTS,
        case_version=1,
        status="ok",
        config={"test": item.nodeid},
        metrics=dict(_metrics(peaks)),
        provenance=provenance(TESTS, item.config.stash[_DEVICE]),
    )
    write_record(open_store(folder), record)


def _metrics(peaks: list[Peak]) -> Iterator[tuple[str, Any]]:
    from bench.records.record import Metric

    for peak in peaks:
        if peak.above_bytes is None:
            yield peak.name, Metric.unmeasured("byte", peak.reason or "unknown")
            continue
        yield peak.name, Metric.single(peak.above_bytes, "byte", peak.method)
        if peak.baseline_bytes is not None:
            yield f"baseline_{peak.name}", Metric.single(peak.baseline_bytes, "byte", peak.method)
