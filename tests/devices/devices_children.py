"""Functions that the tests run in fresh processes; imports nothing that they don't measure."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from known_sizes import ALLOCATORS, MIB, PATTERNS, measure_allocation, measure_sizes

import devices
from devices import cgroup
from devices.files import parse_sizes
from devices.peaks import CgroupPeak

_MAP_HUGETLB = 0x40000
_PR_CAPBSET_DROP, _CAP_SYS_RESOURCE = 24, 24


def measured_in_own_group() -> Any:
    group = cgroup.own_exclusive_group()
    assert group is not None, "own_exclusive_group"
    with devices.measure(peak_meter=CgroupPeak(group)) as region:
        ALLOCATORS["malloc"](50 * MIB)
    return region


def raising_in_region() -> Any:
    try:
        with devices.measure() as region:
            ALLOCATORS["malloc"](20 * MIB)
            raise KeyError("from the region")
    except KeyError as error:
        return {"raised": str(error), "region": region.to_json()}


def loaded_modules() -> list[str]:
    return sorted(sys.modules)


def echo(*args: Any, **kwargs: Any) -> Any:
    return [args, kwargs]


def pid_and_sum(numbers: list[int]) -> list[int]:
    return [os.getpid(), sum(numbers)]


def environment_variable(name: str) -> str | None:
    return os.environ.get(name)


def crash_by_exception() -> None:
    devices.phase("backward")
    raise RuntimeError("the loss is gone")


def crash_by_signal(number: int) -> None:
    devices.phase("forward")
    os.kill(os.getpid(), number)


def crash_by_segfault() -> None:
    ctypes.string_at(0)


def leave_with(code: int) -> None:
    os._exit(code)


def leave_by_system_exit() -> None:
    sys.exit(0)


def hang(pid_file: str) -> None:
    """Start a grandchild, tell both process numbers, and hang."""
    devices.phase("hang")
    grandchild = subprocess.Popen(["sleep", "600"])
    Path(pid_file).write_text(f"{os.getpid()} {grandchild.pid}")
    time.sleep(600)


def parent_that_dies(pid_file: str) -> list[int]:
    """Start a process that runs `hang` isolated, kill it, and tell the hanging ones."""
    code = f"import devices; devices.run_isolated('devices_children:hang', {pid_file!r})"
    path = os.pathsep.join(sys.path)
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path})
    while not (Path(pid_file).exists() and Path(pid_file).read_text()):
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    return [int(pid) for pid in Path(pid_file).read_text().split()]


def leave_grandchild_behind() -> int:
    return subprocess.Popen(["sleep", "600"]).pid


def print_garbage() -> int:
    sys.stdout.buffer.write(b'\xff\x00{"value": 666}\n' * 100_000)
    print("the end of stdout", flush=True)
    print("the end of stderr", file=sys.stderr, flush=True)
    return 7


def return_garbage() -> object:
    return object()


def spoil_the_report() -> None:
    Path(os.environ["DEVICES_ISOLATED_REPORT"]).write_text('{"value": 1')
    os._exit(0)


def eat(size_bytes: int, allocator: str = "malloc") -> int:
    """Take memory in steps of 8 MiB, telling the phase at each half."""
    blocks = []
    devices.phase("first half")
    for taken in range(0, size_bytes, 8 * MIB):
        if taken >= size_bytes // 2:
            devices.phase("second half")
        blocks.append(ALLOCATORS[allocator](8 * MIB))
    return len(blocks)


def eat_in_group(size_bytes: int) -> str:
    eat(size_bytes)
    group = cgroup.own_group()
    assert group is not None
    return str(group.path)


def measured_thrice() -> list[Any]:
    where = ("malloc", "freed at once in a thread", 10 * MIB, "best")
    return [measure_allocation(*where).to_json() for _ in range(3)]


def printed() -> dict[str, str]:
    with devices.measure() as region:
        running = str(region)
        block = bytearray(8 << 20)
        del block
    method = region.peak_above_baseline_bytes.method
    return {"running": running, "line": str(region), "html": region._repr_html_(), "method": method}


def versions_and_modules() -> list[Any]:
    return [devices.environment(), sorted(sys.modules)]


def detected_threads() -> int | None:
    return devices.detect().threads


def clock_and_modules() -> bool:
    devices.now_s()
    return "torch" in sys.modules


def lifetime_in_a_small_parent(sizes_bytes: list[int]) -> Any:
    """Measure in a grandchild, since a child inherits the maximum of the large test process."""
    where = ("malloc", "freed at once", sizes_bytes, "lifetime")
    return devices.run_isolated("known_sizes:measure_sizes", *where).value


def sizes_by_pattern(allocator: str, sizes_bytes: list[int]) -> dict[str, list[int]]:
    return {name: measure_sizes(allocator, name, sizes_bytes, "best") for name in PATTERNS}


def hold_threads(threads: int, size_bytes: int) -> int:
    """Take memory beside threads that wait; return what RLIMIT_DATA counts then."""
    ended = threading.Event()
    waiting = [threading.Thread(target=ended.wait) for _ in range(threads)]
    for thread in waiting:
        thread.start()
    kept = ALLOCATORS["malloc"](size_bytes)
    counted = parse_sizes(Path("/proc/self/status").read_text())["VmData"]
    ended.set()
    for thread in waiting:
        thread.join()
    del kept
    return counted


def run_under_stacks_of(stack_bytes: int, limit_bytes: int) -> Any:
    """Run `hold_threads` isolated from a session with this limit on stacks."""
    resource.setrlimit(resource.RLIMIT_STACK, (stack_bytes, resource.RLIM_INFINITY))
    return devices.run_isolated(
        "devices_children:hold_threads",
        *(8, 20 * MIB),
        limit_bytes=limit_bytes,
        limit_method="RLIMIT_DATA",
    )


def try_under_session_limit(name: str, session_bytes: int, limit_bytes: int) -> dict[str, Any]:
    """Lower a limit of this process for good, then ask for a trial, and make one."""
    resource.setrlimit(getattr(resource, name), (session_bytes, session_bytes))
    # Root's children could raise it again: drop that capability for them.
    ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_SYS_RESOURCE)
    reason = devices.why_no_limit(limit_bytes)
    try:
        run = devices.run_isolated(
            "devices_children:eat",
            limit_bytes,
            limit_bytes=limit_bytes,
            limit_method="RLIMIT_DATA",
        )
    except OSError as error:
        return {"reason": reason, "refused": str(error)}
    return {"reason": reason, "status": run.status, "error": run.error}


def measured_huge_pages(size_bytes: int) -> Any:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_HUGETLB
    with devices.measure() as region:
        block = mmap.mmap(-1, size_bytes, flags=flags)
        for offset in range(0, size_bytes, MIB):
            block[offset] = 1
    return region


def trial_after_freeing() -> tuple[int, int]:
    """Leave freed blocks below one that is still used, so that the heap keeps them; then try."""
    from devices.heap_trial import take_and_free

    blocks = [bytearray(60_000) for _ in range(400)]
    kept = blocks.pop()
    blocks.clear()
    result = take_and_free()
    del kept
    return result
