"""Under a preloaded allocator a peak above a baseline is right or None with a reason, never false.

The allocators: those of the distribution that are installed (Debian: libtcmalloc-minimal4,
libjemalloc2, libmimalloc2.0), and one of a few lines that never gives memory back.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from known_sizes import ALLOWED_ERROR_BYTES, MIB

from devices import detect, heap, run_isolated
from devices.allocator import find_allocator, library_of, without_allocators
from devices.peaks import high_water_mark_resets

INSTALLED = ("tcmalloc_minimal", "jemalloc", "mimalloc")
# Takes the C library's place, and keeps freed blocks of one size for itself.
KEEPER = """
#include <malloc.h>
#include <stddef.h>
extern void *__libc_malloc(size_t);
extern void __libc_free(void *);
static void *kept[1 << 16];
static size_t count;
void *malloc(size_t size) {
    return size == 65536 && count ? kept[--count] : __libc_malloc(size);
}
void free(void *block) {
    size_t size = block ? malloc_usable_size(block) : 0;
    if (size >= 65536 && size < 65600 && count < 1 << 16) kept[count++] = block;
    else __libc_free(block);
}
"""

pytestmark = pytest.mark.skipif(
    not high_water_mark_resets(), reason="this kernel does not let VmHWM be reset"
)


def preload_of(name: str) -> str:
    file = ctypes.util.find_library(name)
    if file is None:
        pytest.skip(f"lib{name} is not installed")
    return file


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("allocator", ["malloc", pytest.param("torch", marks=pytest.mark.slow)])
def test_a_child_is_measured_without_the_allocator_that_this_process_preloads(
    monkeypatch: pytest.MonkeyPatch, name: str, allocator: str
) -> None:
    file = preload_of(name)
    monkeypatch.setenv("LD_PRELOAD", file)
    sizes = [100 * MIB, 10 * MIB, 150 * MIB, 0]

    result = run_isolated("devices_children:sizes_by_pattern", allocator, sizes)

    assert result.removed_preloads == (file,)
    for peaks in result.value.values():
        errors = [abs(peak - size) for peak, size in zip(peaks, sizes, strict=True)]
        assert max(errors) <= ALLOWED_ERROR_BYTES, errors


@pytest.mark.parametrize("name", INSTALLED)
def test_a_child_that_is_given_the_allocator_has_no_figure_and_names_it(name: str) -> None:
    file = preload_of(name)

    region = run_isolated("devices_children:measured_thrice", env={"LD_PRELOAD": file}).value[0]

    assert region["peak_above_baseline_bytes"]["value"] is None
    assert file in region["peak_above_baseline_bytes"]["reason"]
    assert region["untrimmed_bytes"]["value"] is None
    assert region["allocator"]["library"].startswith(f"lib{name}")
    assert region["allocator"]["preloads"] == [file]


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Build an allocator that returns nothing; return the environment that preloads it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("keeper")
    (folder / "keeper.c").write_text(KEEPER)
    library = folder / "libkeeper.so"  # a name that says nothing of allocators
    command = [compiler, "-shared", "-fPIC", "-O1", "-fno-builtin", "keeper.c", "-o", library]
    subprocess.run(command, cwd=folder, check=True)
    # LD_PRELOAD takes no path with a space, as TMPDIR may have
    return {"LD_PRELOAD": library.name, "LD_LIBRARY_PATH": str(folder)}


def test_an_allocator_of_an_unknown_name_is_found_out_by_trying(
    monkeypatch: pytest.MonkeyPatch, keeper: dict[str, str]
) -> None:
    for name, value in keeper.items():
        monkeypatch.setenv(name, value)

    result = run_isolated("devices_children:measured_thrice")

    assert result.removed_preloads == ()
    reading = result.value[0]["peak_above_baseline_bytes"]
    assert reading["value"] is None
    assert "libkeeper.so" in reading["reason"]


def test_the_trial_sees_memory_that_stays_though_malloc_trim_is_called(
    keeper: dict[str, str],
) -> None:
    taken, left = run_isolated("devices.heap_trial:take_and_free", env=keeper).value

    assert taken > 7 * MIB
    assert left > 7 * MIB


def test_the_trial_sees_memory_that_goes() -> None:
    taken, left = run_isolated("devices.heap_trial:take_and_free").value

    assert taken > 7 * MIB
    assert left < MIB


@pytest.mark.parametrize(
    ("preload", "kept", "removed"),
    [
        ("/usr/lib/libtcmalloc.so.4", None, "libtcmalloc.so.4"),
        ("libiomp5.so:libjemalloc.so.2", "libiomp5.so", "libjemalloc.so.2"),
        ("libmimalloc.so libtbbmalloc_proxy.so.2", None, "libmimalloc.so:libtbbmalloc_proxy.so.2"),
        ("libiomp5.so", "libiomp5.so", None),
        ("", "", None),
    ],
)
def test_allocators_leave_the_preloads_and_others_stay(
    preload: str, kept: str | None, removed: str | None
) -> None:
    env = without_allocators({"HOME": "/root", "LD_PRELOAD": preload})

    assert env["HOME"] == "/root"
    assert env.get("LD_PRELOAD") == kept
    assert env.get("DEVICES_REMOVED_PRELOADS") == removed


@pytest.mark.parametrize("python", ["/usr/bin/python3", sys.executable])
@pytest.mark.parametrize("preload", [None, *INSTALLED])
def test_the_replaced_allocator_is_known_where_the_executable_holds_mallocs_address(
    python: str, preload: str | None
) -> None:
    """As in Debian's Python, which is not position-independent."""
    if not Path(python).exists():
        pytest.skip(f"{python} is not there")
    code = "from devices.allocator import find_allocator as f, is_replaced as r; print(r(), f())"
    command = [python, "-c", code]
    env = {"PYTHONPATH": os.pathsep.join(sys.path), "LANG": "C.UTF-8"}
    env |= {} if preload is None else {"LD_PRELOAD": preload_of(preload)}

    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if ended.returncode:
        pytest.skip(f"{python} can't import the package: {ended.stderr[-200:]}")

    assert ended.stdout.startswith(f"{preload is not None} ")
    assert preload is not None or ended.stdout.split()[1] == library_of("malloc_trim")


def test_settings_of_malloc_leave_the_tunables_and_others_stay() -> None:
    tunables = "glibc.malloc.hugetlb=2:glibc.cpu.x86_ibt=off:glibc.malloc.arena_max=4"

    assert without_allocators({"GLIBC_TUNABLES": tunables}) == {
        "GLIBC_TUNABLES": "glibc.cpu.x86_ibt=off"
    }
    assert without_allocators({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=2"}) == {}
    assert without_allocators({"MALLOC_TOP_PAD_": "67108864", "HOME": "/root"}) == {"HOME": "/root"}


def test_the_profile_names_allocator_and_preloads_and_what_measured_processes_lack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/opt/lib/libtcmalloc.so.4:libiomp5.so")

    spec = detect()

    assert spec.allocator == find_allocator().library
    assert spec.preloads == ("libtcmalloc.so.4", "libiomp5.so")
    assert spec.notes["preloads"] == "measured processes start without libtcmalloc.so.4"


def test_memory_that_was_freed_before_the_trial_does_not_hide_its_blocks() -> None:
    """Freed blocks that are still resident are given back before the trial takes its own."""
    taken, left = run_isolated("devices_children:trial_after_freeing").value
    assert taken > 4 << 20 > left


def test_blocks_mapped_apart_from_small_sizes_on_do_not_look_like_a_foreign_allocator() -> None:
    """A step's process maps blocks from 16 pages on apart, which mallinfo counts elsewhere."""
    env = {"MALLOC_MMAP_THRESHOLD_": str(heap.mmap_threshold_bytes()), "MALLOC_TOP_PAD_": "0"}
    for _ in range(3):
        assert run_isolated("devices.allocator:is_replaced", env=env).value is False
