"""Compare what run.sh found with the limits of the GPU work; exit 1 where one fails.

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
_LIMITS = {
    "whole": (1.15, 1.15, 5.0, 20.0),
    "one_tensor_as_large": (1.5, 1.5, 6.0, 24.0),
    "resnet18": (1.5, 1.5, 6.0, 24.0),
}
_PASSES = ("perturb", "re-perturb", "replay 30", "replay 150")
_SPEED_UPS = {"tf32": 1.8, "fp16": 2.4}  # of a ZO round against the old checkout's
_WARM_UP_SPEED_UP = 1.9
_STEP = 1.06  # a ZO step in two forwards, at batch 1
_MINUTES = {"tf32": 18.0, "fp16": 15.0}  # of 500 rounds at 10/90: 200 of 5 clients, 300 of all
_FIRST_SEARCH_SEED = 1000  # run seeds of the learning-rate search; tables use those below


def read(folder: Path, name: str) -> dict[str, Any]:
    """Join the lines of JSON that a step left; empty where it left none."""
    found: dict[str, Any] = {}
    for line in _lines(folder / f"{name}.txt"):
        if line.startswith("{"):
            found |= json.loads(line)
    return found


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def bars(folder: Path) -> Iterator[tuple[str, float, bool]]:
    """Yield each figure with its rule and whether it meets it."""
    yield from _of_kernels(read(folder, "kernels"))
    old = read(folder, OLD)
    for precision, least in _SPEED_UPS.items():
        new = read(folder, f"rounds-{precision}")
        rules = {"zo_round_s": ("ZO round", least), "warm_up_s": ("warm-up", _WARM_UP_SPEED_UP)}
        for name, (words, factor) in rules.items():
            if name in old and name in new:
                ratio = old[name] / new[name]
                yield (
                    f"{precision} {words}, times faster, at least {factor}",
                    ratio,
                    ratio >= factor,
                )
        if "zo_step_over_two_forwards" in new:
            step = new["zo_step_over_two_forwards"]
            yield f"{precision} ZO step / two forwards, at most {_STEP}", step, step <= _STEP
        if {"zo_round_s", "warm_up_s"} <= new.keys():
            minutes, most = _projected(new), _MINUTES[precision]
            yield f"{precision} 500 rounds, minutes, at most {most:g}", minutes, minutes <= most
        if old and new and old["checkout"] == new["checkout"]:
            yield f"{precision}: both rounds ran in {old['checkout']}", 0.0, False


def _of_kernels(kernels: dict[str, Any]) -> Iterator[tuple[str, float, bool]]:
    if "differing" in kernels:
        wrong = kernels["differing"]
        yield f"modes that differ from the reference: {wrong or 'none'}", len(wrong), not wrong
    for place in _LIMITS.keys() & kernels.keys():
        for name, limit in zip(_PASSES, _LIMITS[place], strict=True):
            value = kernels[place][name]
            yield f"{place} {name}, adds, at most {limit}", value, value <= limit


def _projected(found: dict[str, float]) -> float:
    return (200 * 5 * found["warm_up_s"] + 300 * found["zo_round_s"]) / 60


def trainings(folder: Path) -> Iterator[str]:
    """Yield a line for each run of the paper's recipe, finished or cut."""
    for path in sorted(folder.glob("paper/cells/*.json")):
        cell = json.loads(path.read_text())
        config, training = cell["config"], cell["training"]
        if config["run_seed"] >= _FIRST_SEARCH_SEED:
            continue
        name = f"{config['algorithm']}, {config['high_share']:.0%} high, seed {config['run_seed']}"
        yield f"{name}: {_progress(training, config['rounds']) if training else cell['error']}"


def _progress(training: dict[str, Any], rounds: int) -> str:
    accuracies = training["curve"]["test_accuracy"]
    parts = [f"{training['rounds_done']} of {rounds} rounds"]
    parts += [f"test accuracy {100 * accuracies[-1]:.1f} %"] if accuracies else []
    if training.get("projected_s"):
        parts.append(f"{training['projected_s'] / 60:.1f} minutes projected for all rounds")
    return ", ".join([*parts, f"digest {training['digest']}"])


def main() -> int:
    """Print figures with their limits, trainings, and the steps that failed or were skipped."""
    folder = Path(sys.argv[1])
    found = list(bars(folder))
    for rule, value, is_met in found:
        print(f"{'meets' if is_met else 'FAILS'}  {value:9.3f}  {rule}")
    for line in trainings(folder):
        print(line)
    lines = [line for path in sorted(folder.glob("status-*")) for line in _lines(path)]
    skipped = [line for line in lines if ": skipped, " in line]
    failed = [line for line in lines if ": exit code 0" not in line and line not in skipped]
    print(f"{len(lines)} steps, failed: {'; '.join(failed) or 'none'}", *skipped, sep="\n")
    return 0 if lines and all(is_met for *_, is_met in found) and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
