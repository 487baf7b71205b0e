"""Hold what run.sh found against the bars of the GPU work: one line each, exit 1 where one fails.

python tests/gpu/summary.py OUT
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OLD = "rounds-f4032c4"
# in in-place adds: perturb, re-perturb, replay 30, replay 150
_LIMITS = {"whole": (1.15, 1.15, 5.0, 20.0), "resnet18": (1.5, 1.5, 6.0, 24.0)}
_PASSES = ("perturb", "re-perturb", "replay 30", "replay 150")
_SPEED_UPS = {"tf32": 1.8, "fp16": 2.4}  # of a ZO round against the old checkout's
_WARM_UP_SPEED_UP = 1.9
_STEP = 1.06  # a ZO step in two forwards, at batch 1


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """Read a step's JSON; None where it left none."""
    try:
        return dict(json.loads((folder / f"{name}.txt").read_text()))
    except (OSError, ValueError):
        return None


def bars(folder: Path) -> Iterator[tuple[str, float, bool]]:
    """Yield each figure with its rule and whether it holds."""
    kernels = read(folder, "kernels")
    if kernels is not None:
        wrong = kernels["differing"]
        yield f"modes that differ from the reference: {wrong or 'none'}", len(wrong), not wrong
        for place, limits in _LIMITS.items():
            for name, limit in zip(_PASSES, limits, strict=True):
                value = kernels[place][name]
                yield f"{place} {name}, adds, at most {limit}", value, value <= limit
    old = read(folder, OLD)
    for precision, least in _SPEED_UPS.items():
        new = read(folder, f"rounds-{precision}")
        if new is None:
            continue
        step = new["zo_step_over_two_forwards"]
        yield f"{precision} ZO step / two forwards, at most {_STEP}", step, step <= _STEP
        if old is not None:
            ratio = old["zo_round_s"] / new["zo_round_s"]
            yield f"{precision} ZO round, times faster, at least {least}", ratio, ratio >= least
            ratio = old["warm_up_s"] / new["warm_up_s"]
            rule = f"{precision} warm-up round, times faster, at least {_WARM_UP_SPEED_UP}"
            yield rule, ratio, ratio >= _WARM_UP_SPEED_UP


def main() -> int:
    """Print all bars."""
    folder = Path(sys.argv[1])
    found = list(bars(folder))
    for rule, value, holds in found:
        print(f"{'holds' if holds else 'FAILS'}  {value:9.3f}  {rule}")
    status = (folder / "status").read_text().splitlines() if (folder / "status").exists() else []
    skipped = [line for line in status if " skipped: " in line]
    failed = [line for line in status if not line.endswith(" 0") and line not in skipped]
    print(f"{len(status)} steps, failed: {', '.join(failed) or 'none'}", *skipped, sep="\n")
    return 0 if found and all(holds for _, _, holds in found) and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
