"""`measure` as a contract: what is filled in when, and what an exception leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from waiting import wait_until

from devices import cgroup, huge_pages, measure, memory, meter, peaks, run_isolated
from devices.files import parse_sizes
from devices.memory import HostMemory, read_host_memory
from devices.reading import Reading, missing
from devices.swap import SwapWatch, has_swap

MIB = 1 << 20


class FakePeak:
    method = "fake peak"

    def start(self) -> Reading:
        return Reading(value=100, unit="byte", method="fake baseline")

    def stop(self) -> Reading:
        return Reading(value=175, unit="byte", method=self.method)


class SilentPeak(FakePeak):
    def stop(self) -> Reading:
        return missing("byte", "the meter broke")


class FakeEnergy:
    def start(self) -> None:
        self.started = True

    def stop(self) -> Reading:
        assert self.started
        return Reading(value=2.5, unit="joule", method="fake sensor")


def test_until_the_region_ends_every_figure_is_none_with_a_reason() -> None:
    with measure() as region:
        assert region.peak_bytes.value is None
        assert region.seconds.reason == "the region has not ended"
    assert region.peak_bytes.value is not None
    assert region.seconds.value is not None


@pytest.fixture
def all_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no freed heap of this long test process hide what a fake meter reads."""
    nothing = Reading(value=0, unit="byte", method="fake")
    monkeypatch.setattr("devices.heap.untrimmed_bytes", lambda: nothing)


@pytest.mark.usefixtures("all_trimmed")
def test_the_peak_is_stored_with_its_baseline_difference_and_methods() -> None:
    with measure(peak_meter=FakePeak()) as region:
        pass

    assert (region.baseline_bytes.value, region.peak_bytes.value) == (100, 175)
    assert region.peak_above_baseline_bytes.value == 75
    assert region.peak_above_baseline_bytes.method == "fake peak, minus fake baseline"


def test_a_peak_that_is_unknown_is_unknown_above_the_baseline_too() -> None:
    with measure(peak_meter=SilentPeak()) as region:
        pass

    assert region.peak_above_baseline_bytes.value is None
    assert region.peak_above_baseline_bytes.reason == "the meter broke"


class SunkenPeak(FakePeak):
    def stop(self) -> Reading:
        return Reading(value=90, unit="byte", method=self.method)


@pytest.mark.usefixtures("all_trimmed")
def test_a_peak_below_its_baseline_is_refused_with_a_reason() -> None:
    with measure(peak_meter=SunkenPeak()) as region:
        pass

    assert region.peak_above_baseline_bytes.value is None
    assert region.peak_above_baseline_bytes.reason == (
        "the peak reads 10 bytes below the baseline, which cannot be"
    )


def looks(monkeypatch: pytest.MonkeyPatch, before: HostMemory, after: HostMemory) -> None:
    """Let a region see these at its start and its end."""
    remaining = iter([before, after])
    monkeypatch.setattr(meter, "read_host_memory", lambda: next(remaining))


@pytest.mark.parametrize(
    ("before", "after", "grown"),
    [
        ({"swap_bytes": 5}, {"swap_bytes": 9}, ("VmSwap",)),
        ({"swap_bytes": 5, "zram_bytes": 1}, {"swap_bytes": 5, "zram_bytes": 2}, ("zram",)),
        (
            {"swap_bytes": 0, "zram_bytes": 1},
            {"swap_bytes": 1, "zram_bytes": 2},
            ("VmSwap", "zram"),
        ),
        ({"swap_bytes": 9}, {"swap_bytes": 5}, ()),
        ({}, {}, ()),
    ],
)
def test_a_peak_is_marked_where_swap_grew_in_the_region(
    monkeypatch: pytest.MonkeyPatch,
    before: dict[str, int],
    after: dict[str, int],
    grown: tuple[str, ...],
) -> None:
    looks(monkeypatch, HostMemory(rss_bytes=1, **before), HostMemory(rss_bytes=1, **after))

    with measure(peak_meter=FakePeak()) as region:
        pass

    assert region.swapped_by == grown
    assert ("swapped" in region.peak_bytes.method) == bool(grown)
    assert ("swapped" in region.peak_above_baseline_bytes.method) == bool(grown)
    assert ("the need is at most" in region.peak_bytes.method) == ("VmSwap" in grown)


def status(root: Path, swapped_kib: int) -> None:
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/status").write_text(f"VmRSS:\t 8 kB\nVmSwap:\t {swapped_kib} kB\n")


def test_the_largest_growth_of_swap_counts_and_not_what_is_left_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("SwapTotal:  102396 kB\n")
    status(tmp_path, 100)
    watch = SwapWatch(tmp_path, interval_s=0.001)

    status(tmp_path, 900)
    assert wait_until(lambda: watch._largest >= 900 << 10)
    status(tmp_path, 300)

    assert watch.stop() == 800 << 10


def test_without_swap_nothing_is_watched(tmp_path: Path) -> None:
    status(tmp_path, 100)
    assert not has_swap(tmp_path)
    watch = SwapWatch(tmp_path)
    status(tmp_path, 900)
    assert watch.stop() == 0


def test_compressed_swap_is_summed_over_the_devices(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("VmRSS:\t 8 kB\n")
    for number, size in enumerate((4096, 8192)):
        folder = tmp_path / f"sys/block/zram{number}"
        folder.mkdir(parents=True)
        (folder / "mm_stat").write_text(f"{size} 74 12288 0 12288 0 0 0 0\n")

    assert read_host_memory(tmp_path).zram_bytes == 12288


@pytest.mark.usefixtures("all_trimmed")
def test_huge_pages_are_added_to_a_meter_that_does_not_see_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = {"bytes": 2 * MIB}
    monkeypatch.setattr(
        huge_pages,
        "read_host_memory",
        lambda: HostMemory(rss_bytes=1, hugetlb_bytes=held["bytes"]),
    )
    added = huge_pages.WithHugePages(FakePeak())

    with measure(peak_meter=added) as region:
        held["bytes"] = 26 * MIB

    assert region.peak_above_baseline_bytes.value == 75 + 24 * MIB
    assert region.peak_bytes.method == "fake peak, plus huge pages sampled every 10 ms"


@pytest.mark.parametrize(
    ("pool", "pages", "expected"),
    [("nr_hugepages", 12, True), ("nr_overcommit_hugepages", 12, True), ("nr_hugepages", 0, False)],
)
def test_huge_pages_are_looked_for_where_the_machine_has_any(
    tmp_path: Path, pool: str, pages: int, expected: bool
) -> None:
    folder = tmp_path / "sys/kernel/mm/hugepages/hugepages-2048kB"
    folder.mkdir(parents=True)
    (folder / pool).write_text(f"{pages}\n")

    assert huge_pages.has_huge_pages(tmp_path) == expected
    assert not huge_pages.has_huge_pages(tmp_path / "elsewhere")


@pytest.mark.skipif(
    not huge_pages.has_huge_pages(), reason="this machine has no huge pages to give"
)
def test_huge_pages_that_a_process_holds_are_in_its_peak() -> None:
    result = run_isolated("devices_children:measured_huge_pages", 24 * MIB)

    assert result.status == "ok", result.error
    assert abs(result.value["peak_above_baseline_bytes"]["value"] - 24 * MIB) < 2 * MIB


def test_energy_is_none_with_a_reason_unless_a_meter_is_given() -> None:
    with measure() as without:
        pass
    with measure(energy_meter=FakeEnergy()) as given:
        pass

    assert without.joules.value is None
    assert without.joules.reason
    assert given.joules.value == 2.5


@pytest.mark.process
def test_an_exception_in_the_region_leaves_a_valid_measurement_and_passes_through() -> None:
    result = run_isolated("devices_children:raising_in_region")

    region = result.value["region"]
    assert result.value["raised"] == "'from the region'"
    assert abs(region["peak_above_baseline_bytes"]["value"] - 20 * MIB) < 2 * MIB
    assert region["seconds"]["value"] > 0


def test_a_figure_without_a_value_must_give_its_reason() -> None:
    with pytest.raises(ValueError, match="reason must be given exactly where value is None"):
        Reading(value=None, unit="byte", method="none")
    with pytest.raises(ValueError, match="reason must be given exactly where value is None"):
        Reading(value=0, unit="byte", method="VmRSS", reason="but there is one")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_the_parts_of_resident_memory_add_up() -> None:
    seen = read_host_memory()

    assert seen.anon_bytes is not None
    assert seen.file_bytes is not None
    assert seen.shmem_bytes is not None
    parts = seen.anon_bytes + seen.file_bytes + seen.shmem_bytes
    assert abs(parts - seen.rss_bytes) <= MIB  # the kernel reads its counters one by one


def test_status_sizes_are_read_in_bytes_and_other_rows_are_left_out() -> None:
    text = "Name:\tpython\nVmHWM:\t  300 kB\nThreads:\t2\nVmSwap:\t 0 kB\n"

    assert parse_sizes(text) == {"VmHWM": 300 * 1024, "VmSwap": 0}


@pytest.mark.parametrize("mode", ["always", "madvise", "never"])
def test_the_huge_page_mode_is_the_one_in_brackets(tmp_path: Path, mode: str) -> None:
    file = tmp_path / "sys/kernel/mm/transparent_hugepage/enabled"
    file.parent.mkdir(parents=True)
    file.write_text("always madvise never\n".replace(mode, f"[{mode}]"))

    assert memory.huge_page_mode(tmp_path) == mode
    assert memory.huge_page_mode(tmp_path / "elsewhere") is None


def test_the_lifetime_maximum_counts_bytes_on_macos_and_kib_elsewhere() -> None:
    assert peaks.maximum_rss_to_bytes(5 * MIB, "darwin") == 5 * MIB
    assert peaks.maximum_rss_to_bytes(5 * 1024, "linux") == 5 * MIB


def test_a_sampling_interval_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"interval_s must be > 0, got 0\.0"):
        peaks.SampledRss(0.0)


def test_the_meter_falls_back_where_the_mark_cannot_be_reset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peaks, "_CLEAR_REFS", tmp_path / "no/such/file")
    monkeypatch.setattr(cgroup, "own_exclusive_group", lambda: None)
    peaks.high_water_mark_resets.cache_clear()

    assert isinstance(peaks.best_peak_meter(), peaks.LifetimeElseSampled)

    peaks.high_water_mark_resets.cache_clear()


def test_a_mark_that_is_writable_but_does_not_reset_is_found_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peaks, "_CLEAR_REFS", tmp_path / "clear_refs")
    peaks._touch_and_free(2 * peaks._PROBE_BYTES + 64 * MIB)  # an earlier peak that stays
    peaks.high_water_mark_resets.cache_clear()

    assert not peaks.high_water_mark_resets()

    peaks.high_water_mark_resets.cache_clear()


@pytest.mark.process
@pytest.mark.skipif(
    not hasattr(os, "getuid") or cgroup.own_group() is None, reason="needs a memory control group"
)
def test_a_group_of_its_own_tells_the_peak_of_the_process() -> None:
    probe = run_isolated("math:sqrt", 4, limit_bytes=500 * MIB)
    if probe.limit_method not in ("cgroup v1", "cgroup v2"):
        pytest.skip("this process may not make a memory control group")
    result = run_isolated("devices_children:measured_in_own_group", limit_bytes=500 * MIB)
    if "own_exclusive_group" in (result.error or ""):
        pytest.skip("cgroup v2 resets its peak from Linux 6.12 on only")

    assert result.status == "ok", result.error
    peak = result.value["peak_above_baseline_bytes"]
    assert abs(peak["value"] - 50 * MIB) <= 2 * MIB
    assert peak["method"].startswith("cgroup")


def test_a_measurement_prints_one_line_and_a_table() -> None:
    shown = run_isolated("devices_children:printed").value
    assert "not measured" in shown["running"]
    assert "\n" not in shown["line"]
    assert "MiB" in shown["line"]
    assert shown["method"] in shown["line"]
    assert shown["html"].startswith("<table>")
    assert shown["html"].count("<tr>") == 6
