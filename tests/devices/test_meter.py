"""`measure` as a contract: what is filled in when, and what an exception leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from devices import cgroup, measure, memory, peaks, run_isolated
from devices.memory import read_host_memory
from devices.reading import Reading, missing

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

    assert memory.parse_status(text) == {"VmHWM": 300 * 1024, "VmSwap": 0}


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
