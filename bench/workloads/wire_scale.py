"""A server and a growing fleet of stub clients by one Mosquitto, all on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench.records.typed_json import from_json
from bench.workloads.wire import ClientsRun, ServerRun, peak_mib
from bench.workloads.wire_measure import mosquitto, write_broker

T = TypeVar("T")
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
    with ExitStack() as stack:
        folder, port = Path(stack.enter_context(tempfile.TemporaryDirectory())), _free_port()
        broker = _start(stack, [str(mosquitto()), "-c", write_broker(folder, port)])
        common = ["--host", "127.0.0.1", "--port", str(port)]
        sizes = ["--clients", str(clients), "--cohort", str(clients), "--weights", str(_WEIGHTS)]
        program = [sys.executable, "-m", "bench.workloads.wire"]
        last = ["--rounds", str(burn_in + rounds)]
        server = _start(stack, [*program, "server", *common, *sizes, *last])
        members = ["--count", str(clients), "--weights", str(_WEIGHTS)]
        fleet = _start(stack, [*program, "fleet", *common, *members])
        served, joined = _result(server, ServerRun), _result(fleet, ClientsRun)
        broker_mib = peak_mib(broker.pid)
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


def _result(process: subprocess.Popen[str], kind: type[T]) -> T:
    """Read a program's last line."""
    try:
        lines = process.communicate(timeout=_LIMIT_S)[0].splitlines()
        return from_json(kind, json.loads(lines[-1]))
    except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
        raise RuntimeError(f"a fleet's run did not end within {_LIMIT_S:.0f} s") from error


def _start(stack: ExitStack, command: list[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    stack.enter_context(process)
    stack.callback(process.kill)
    return process


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
