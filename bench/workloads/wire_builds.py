"""The servers of two builds under one fleet, by turns: CPU per client message, in one table.

``python -m bench.workloads.wire_builds CHECKOUT`` compares the build in another folder with this
one.  Both run with Mosquitto and the same echoing clients in processes of their own, so only what
the server does is compared: read, decode, check, fold, log, send.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.workloads.wire_scale import Build, run_fleet

_BURN_IN = 5  # rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTimes:
    """One run of a server, after the burn-in."""

    cpu_ms: npt.NDArray[np.float64]  # per client message, of each round
    round_ms: npt.NDArray[np.float64]  # wall clock, from one result to the next


def measure_server(clients: int, *, rounds: int, build: Build) -> ServerTimes:
    """Run rounds of a whole fleet with a build's server."""
    with run_fleet(clients, rounds=_BURN_IN + rounds, build=build) as run:
        cpu_s = np.array(run.server["round_cpu_s"][_BURN_IN - 1 :])
        round_s = np.array(run.server["round_s"][_BURN_IN - 1 :])
    return ServerTimes(cpu_ms=1e3 * cpu_s / clients, round_ms=1e3 * round_s)


def table(runs: dict[str, list[ServerTimes]]) -> str:
    """Tabulate the median and range of the runs' medians, and the least round, as Markdown."""
    lines = [
        "| build | runs | CPU per message, ms | least | round, ms | least | ratio of CPU |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    first = None
    for name, times in runs.items():
        cpu, cpu_least = _summary([run.cpu_ms for run in times])
        wall, wall_least = _summary([run.round_ms for run in times])
        middle = float(np.median([np.median(run.cpu_ms) for run in times]))
        first = first or middle
        cells = (name, len(times), cpu, cpu_least, wall, wall_least, f"{middle / first:.2f}")
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _summary(runs: list[npt.NDArray[np.float64]]) -> tuple[str, str]:
    medians = [float(np.median(run)) for run in runs]
    middle, low, high = np.median(medians), min(medians), max(medians)
    least = min(float(run.min()) for run in runs)
    return f"{middle:.3g} ({low:.3g} to {high:.3g})", f"{least:.3g}"


def main() -> None:
    """Compare two builds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="the other build, its kernels built in place")
    parser.add_argument("--program", default=Build().program, help="its module of the server")
    for name, default in (("clients", 200), ("rounds", 30), ("pairs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    other = Build(program=arguments.program, checkout=arguments.checkout.resolve())
    runs: dict[str, list[ServerTimes]] = {str(arguments.checkout): [], "this build": []}
    load = os.getloadavg()[0]
    for _ in range(arguments.pairs):
        for name, build in zip(runs, (other, Build()), strict=True):
            measured = measure_server(arguments.clients, rounds=arguments.rounds, build=build)
            runs[name].append(measured)
    print(f"{arguments.clients} clients, {arguments.rounds} rounds a run, load {load:.1f}\n")
    print(table(runs))


if __name__ == "__main__":
    main()
