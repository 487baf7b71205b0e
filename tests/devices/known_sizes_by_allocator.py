"""Repeat the meters' known sizes under other allocators: right, or null with a reason.

`python tests/devices/known_sizes_by_allocator.py` measures known sizes under the default allocator,
each installed one by preload (Debian: libtcmalloc-minimal4, libjemalloc2, libmimalloc2.0) and
settings of the default one. Each is set in two places: in the process that starts the measured one,
as launchers do, and in the measured process itself. The exit code is 1 where a reading is off by
more than 2 MiB, or null without a reason.
"""

from __future__ import annotations

import argparse
import ctypes.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from known_sizes import ALLOCATORS, ALLOWED_ERROR_BYTES, MIB, PATTERNS, measure_allocation

from devices.isolate import run_isolated

SIZES_BYTES = (100 * MIB, 10 * MIB, 150 * MIB, MIB, 0)
_PRELOADED = ("tcmalloc_minimal", "jemalloc", "mimalloc")
_SETTINGS = (
    {"MALLOC_ARENA_MAX": "8"},
    {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"},
    {"MALLOC_TOP_PAD_": "67108864"},
    {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
    {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=2"},
    {"PYTHONMALLOC": "malloc"},
    {"MALLOC_PERTURB_": "42"},
)
_TIMEOUT_S = 600.0
MEASURE = "known_sizes_by_allocator:measure_all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Count the readings under one environment by outcome.

    Args:
        worst_bytes: Error of largest size among the values, with its sign; None without a value.
        values: Readings with a value.
        nulls: Readings that are null with a reason.
        false: Values that are off by more than 2 MiB, and nulls without a reason.
        reason: Why the first null one is null.
    """

    worst_bytes: int | None
    values: int
    nulls: int
    false: int
    reason: str | None


def environments() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name and the variables of each environment that can be tried here."""
    yield "default", {}
    for name in _PRELOADED:
        file = ctypes.util.find_library(name)
        if file is not None:
            yield file, {"LD_PRELOAD": file}
    jemalloc = ctypes.util.find_library("jemalloc")
    if jemalloc is not None:
        decay = "dirty_decay_ms:0,muzzy_decay_ms:0"
        yield f"{jemalloc} {decay}", {"LD_PRELOAD": jemalloc, "MALLOC_CONF": decay}
    for settings in _SETTINGS:
        yield " ".join(f"{name}={value}" for name, value in settings.items()), settings


def measure_all(allocators: Sequence[str]) -> list[Any]:
    """Return [true size, reading] of each allocator, pattern and size, all in this one process."""
    cases = [(a, p, size) for a in allocators for p in PATTERNS for size in SIZES_BYTES]
    regions = [(case[2], measure_allocation(*case, "best")) for case in cases]
    return [[size, region.peak_above_baseline_bytes.to_json()] for size, region in regions]


def measured_in(env: Mapping[str, str], allocators: Sequence[str]) -> Outcome:
    """Measure in a process that has the environment itself."""
    result = run_isolated(MEASURE, allocators, timeout_s=_TIMEOUT_S, env=env)
    if result.status != "ok":
        raise RuntimeError(f"{env}: {result.status}: {result.error}: {result.output_tail}")
    return judge(result.value)


def measured_below(env: Mapping[str, str], allocators: Sequence[str]) -> Outcome:
    """Measure in a process that one with the environment starts."""
    command = [sys.executable, __file__, "--readings", *allocators]
    paths = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    parent_env = {**os.environ, **env, "PYTHONPATH": paths}
    ended = subprocess.run(command, env=parent_env, capture_output=True, text=True, check=True)
    return judge(json.loads(ended.stdout))


def judge(readings: Sequence[Any]) -> Outcome:
    """Compare [true size, reading] pairs with the truth."""
    errors = [r["value"] - size for size, r in readings if r["value"] is not None]
    reasons = [r["reason"] for _, r in readings if r["value"] is None]
    return Outcome(
        worst_bytes=max(errors, key=abs, default=None),
        values=len(errors),
        nulls=len([reason for reason in reasons if reason]),
        false=len([e for e in errors if abs(e) > ALLOWED_ERROR_BYTES])
        + len([reason for reason in reasons if not reason]),
        reason=next(iter(reasons), None),
    )


PLACES: dict[str, Callable[[Mapping[str, str], Sequence[str]], Outcome]] = {
    "starting process": measured_below,
    "measured process": measured_in,
}


def main() -> int:
    """Print a row for each environment and place, or the readings of one process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", nargs="+", help="print one child's readings as JSON")
    parser.add_argument("--allocators", nargs="+", default=list(ALLOCATORS), choices=ALLOCATORS)
    arguments = parser.parse_args()
    if arguments.readings:
        result = run_isolated(MEASURE, arguments.readings, timeout_s=_TIMEOUT_S)
        print(json.dumps(result.value))
        return 0 if result.status == "ok" else 1
    print(f"{'environment':<72} {'set in':<18} values  null false worst MiB")
    false = 0
    for name, env in environments():
        for place, measured in PLACES.items():
            outcome = measured(env, arguments.allocators)
            print(_row(name, place, outcome), flush=True)
            false += outcome.false
    return 1 if false else 0


def _row(name: str, place: str, outcome: Outcome) -> str:
    worst = "" if outcome.worst_bytes is None else f"{outcome.worst_bytes / MIB:+.3f}"
    counts = f"{outcome.values:>6} {outcome.nulls:>5} {outcome.false:>5} {worst:>9}"
    return f"{name:<72} {place:<18} {counts}" + (f"  {outcome.reason}" if outcome.reason else "")


if __name__ == "__main__":
    raise SystemExit(main())
