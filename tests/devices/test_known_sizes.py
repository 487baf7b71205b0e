"""The meters of host memory against allocations of known size, each run in a fresh process."""

from __future__ import annotations

import known_sizes_by_allocator as by_allocator
import pytest
from known_sizes import (
    ALLOCATORS,
    ALLOWED_ERROR_BYTES,
    MIB,
    PATTERNS,
    SIZES_BYTES,
    measure_allocation,
    measure_sizes,
)

from devices import run_isolated
from devices.heap import mmap_threshold_bytes
from devices.peaks import high_water_mark_resets

pytestmark = pytest.mark.process

RUNS = 2  # the campaign, `python tests/devices/known_sizes.py`, does more

needs_high_water_mark = pytest.mark.skipif(
    not high_water_mark_resets(), reason="this kernel does not let VmHWM be reset"
)


@pytest.mark.slow
@needs_high_water_mark
@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_the_best_meter_reads_every_known_size_within_2_mib(allocator: str) -> None:
    """Every pattern and size in one process, so that no region may shadow a later one."""
    for run in range(RUNS):
        # The largest size once in each case, for time's sake; the campaign repeats it too.
        sizes = SIZES_BYTES if run == 0 else SIZES_BYTES[:-1]
        result = run_isolated("devices_children:sizes_by_pattern", allocator, sizes)
        assert result.status == "ok", result.error
        for pattern in PATTERNS:
            peaks = result.value[pattern]
            errors = [peak - size for peak, size in zip(peaks, sizes, strict=True)]
            assert max(map(abs, errors)) <= ALLOWED_ERROR_BYTES, (pattern, errors)


@needs_high_water_mark
def test_a_large_region_does_not_shadow_a_small_one_after_it() -> None:
    sizes = [300 * MIB, 10 * MIB, 0]

    result = run_isolated(measure_sizes, "malloc", "freed at once", sizes, "best")

    assert [round(peak / MIB) for peak in result.value] == [300, 10, 0]


@needs_high_water_mark
@pytest.mark.parametrize("page_bytes", [4 << 10, 16 << 10, 64 << 10])
def test_sizes_are_read_with_the_thresholds_of_each_page_size(page_bytes: int) -> None:
    """GIVEN the thresholds of a kernel with larger pages, THEN peaks are within its rounding."""
    environment = {
        "MALLOC_MMAP_THRESHOLD_": str(mmap_threshold_bytes(page_bytes)),
        "MALLOC_TOP_PAD_": "0",
    }
    sizes = [40 * MIB, 5 * MIB, 0]

    result = run_isolated(measure_sizes, "malloc", "freed at once", sizes, "best", env=environment)

    assert result.status == "ok", result.error
    errors = [peak - size for peak, size in zip(result.value, sizes, strict=True)]
    assert max(map(abs, errors)) <= ALLOWED_ERROR_BYTES


def test_the_lifetime_maximum_reads_a_region_that_raises_it() -> None:
    result = run_isolated("devices_children:lifetime_in_a_small_parent", [100 * MIB])

    assert abs(result.value[0] - 100 * MIB) <= ALLOWED_ERROR_BYTES


def test_the_lifetime_maximum_says_so_where_a_region_stays_below_it() -> None:
    result = run_isolated("devices_children:lifetime_in_a_small_parent", [100 * MIB, 10 * MIB])

    assert result.value[0] is not None
    assert result.value[1] is None


def test_where_the_lifetime_maximum_is_silent_the_samples_speak() -> None:
    sizes = [100 * MIB, 50 * MIB]

    result = run_isolated(
        measure_sizes, "malloc", "held to the end", sizes, "lifetime else sampled"
    )

    assert [round(peak / MIB) for peak in result.value] == [100, 50]


def test_the_sampled_meter_sees_what_is_held_and_says_that_it_samples() -> None:
    args = ("malloc", "held to the end", 100 * MIB, "sampled")

    peak = run_isolated(measure_allocation, *args).value["peak_above_baseline_bytes"]

    assert abs(peak["value"] - 100 * MIB) <= ALLOWED_ERROR_BYTES
    assert "sampled every 10 ms" in peak["method"]


@needs_high_water_mark
def test_heap_that_a_thread_freed_hides_nothing_from_the_next_region() -> None:
    sizes = [10 * MIB] * 3

    result = run_isolated(measure_sizes, "malloc", "freed at once in a thread", sizes, "best")

    assert [round(peak / MIB) for peak in result.value] == [10, 10, 10]


@needs_high_water_mark
def test_a_peak_that_freed_heap_of_threads_may_hide_is_none_and_names_the_remedy() -> None:
    for _ in range(5):  # a thread seldom gets an arena of its own: then nothing is hidden
        result = run_isolated("devices_children:measured_thrice", env={"MALLOC_ARENA_MAX": "8"})
        regions = result.value
        if regions[0]["untrimmed_bytes"]["value"] is None:
            pytest.skip("only glibc tells its arenas")

        hidden = [region["untrimmed_bytes"]["value"] > MIB for region in regions]
        peaks = [region["peak_above_baseline_bytes"] for region in regions]
        nulls = [peak for peak in peaks if peak["value"] is None]
        assert [peak["value"] is None for peak in peaks] == hidden
        assert all("MALLOC_ARENA_MAX=1" in peak["reason"] for peak in nulls)
        if any(hidden):
            return
    pytest.fail("nothing was hidden: this test has lost its subject")


def test_a_childs_arenas_do_not_follow_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "8")

    assert run_isolated("devices_children:environment_variable", "MALLOC_ARENA_MAX").value == "1"


@pytest.mark.slow
@pytest.mark.nightly
@needs_high_water_mark
@pytest.mark.parametrize("place", by_allocator.PLACES)
@pytest.mark.parametrize(("name", "env"), list(by_allocator.environments()))
def test_under_any_allocator_a_reading_is_right_or_none_with_a_reason(
    name: str, env: dict[str, str], place: str
) -> None:
    outcome = by_allocator.PLACES[place](env, ["malloc", "numpy"])

    assert outcome.false == 0, (name, outcome)
    assert outcome.values or outcome.nulls
