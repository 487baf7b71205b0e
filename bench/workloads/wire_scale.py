"""A server and a growing fleet of stub clients by one Mosquitto, all on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.records.typed_json import from_json
from bench.workloads.wire import ClientsRun, ServerRun, peak_mib
from bench.workloads.wire_measure import mosquitto, write_broker

_WEIGHTS = 100  # a fleet's time should go to messages
_LIMIT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRun:
    """A fleet's run."""

    server: ServerRun  # its rounds after the burn-in
    fleet: ClientsRun
    broker_peak_mib: float
    rounds: int  # of the run, the burn-in included
    load_average: float  # of the machine before the run: whether it was quiet

    @property
    def rounds_per_s(self) -> float:
        """Rounds per second, by the median round."""
        return 1.0 / float(np.median(self.server.round_s))

    def lost_messages(self, clients: int) -> int:
        """Count updates that did not count and clients that did not end: 0 where none was lost.

        What came twice was refused once, and is not lost.
        """
        short = sum(clients - accepted for accepted in self.server.num_accepted)
        return short + clients - self.fleet.rounds.count(self.rounds)


def measure_fleet(clients: int, *, rounds: int, burn_in: int = 5) -> FleetRun:
    """Run rounds with a cohort of all clients, whose losses are constant.

    Args:
        clients: of the fleet, in one process.
        rounds: counted, after the burn-in.
        burn_in: rounds before.

    Raises:
        RuntimeError: the run did not end in time.
    """
    load = os.getloadavg()[0]
    with run_fleet(clients, rounds=burn_in + rounds) as run:
        served, joined = from_json(ServerRun, run.server), from_json(ClientsRun, run.fleet)
        broker_mib = peak_mib(run.broker_pid)
    counted = slice(burn_in - 1, None)
    return FleetRun(
        server=replace(
            served, round_s=served.round_s[counted], round_cpu_s=served.round_cpu_s[counted]
        ),
        fleet=joined,
        broker_peak_mib=broker_mib,
        rounds=burn_in + rounds,
        load_average=load,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Whose server runs: this program's, or that of another checkout."""

    program: str = "bench.workloads.wire"  # module that takes the word "server"
    checkout: Path | None = None  # with its kernels built in place


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What the processes of a run print, while the broker is still there."""

    server: Any
    fleet: Any
    broker_pid: int


@contextmanager
def run_fleet(clients: int, *, rounds: int, build: Build | None = None) -> Iterator[Outputs]:
    """Run a broker, a server and a fleet to the end of their run.

    Args:
        clients: of the fleet; all take part in each round.
        rounds: of the run.
        build: of the server; None for this program, whose fleet has one whole client.

    Raises:
        RuntimeError: the run did not end in time.
    """
    with ExitStack() as stack:
        folder, port = Path(stack.enter_context(tempfile.TemporaryDirectory())), _free_port()
        broker = _start(stack, [str(mosquitto()), "-c", write_broker(folder, port)])
        common = ["--host", "127.0.0.1", "--port", str(port), "--weights", str(_WEIGHTS)]
        sizes = ["--clients", str(clients), "--cohort", str(clients), "--rounds", str(rounds)]
        chosen = build or Build()
        server = _start(stack, _python(chosen.program, "server", *common, *sizes), chosen.checkout)
        kind = [] if build is None else ["--echoes-only"]
        members = ["--count", str(clients), *kind]
        fleet = _start(stack, _python(Build().program, "fleet", *common, *members))
        yield Outputs(server=_result(server), fleet=_result(fleet), broker_pid=broker.pid)


def _python(*words: str) -> list[str]:
    return [sys.executable, "-m", *words]


def _result(process: subprocess.Popen[str]) -> Any:
    """Read a program's last line."""
    try:
        return json.loads(process.communicate(timeout=_LIMIT_S)[0].splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
        raise RuntimeError(f"a fleet's run did not end within {_LIMIT_S:.0f} s") from error


def _start(
    stack: ExitStack, command: list[str], checkout: Path | None = None
) -> subprocess.Popen[str]:
    path = {} if checkout is None else {"PYTHONPATH": str(checkout)}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | path,
        cwd=checkout,
    )
    stack.enter_context(process)
    stack.callback(process.kill)
    return process


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
