"""A server and a growing fleet of stub clients by one Mosquitto, all on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from bench.workloads.wire import peak_mib
from bench.workloads.wire_measure import mosquitto, write_broker

_WEIGHTS = 100  # a fleet's time should go to messages
_LIMIT_S = 300.0


def measure_fleet(clients: int, *, rounds: int, burn_in: int = 5) -> dict[str, Any]:
    """Run rounds with a cohort of all clients, whose losses are constant.

    Args:
        clients: of the fleet, in one process.
        rounds: counted, after the burn-in.
        burn_in: rounds before.

    Returns:
        Seconds of each round, and of the server's CPU; peak resident MiB of server, broker and
        fleet; updates that counted in each round; what was refused or asked for again; the
        machine's load before, which tells whether it was quiet.

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
        served, joined = _result(server), _result(fleet)
        broker_mib = peak_mib(broker.pid)
    return {
        "round_s": served["round_s"][burn_in - 1 :],
        "round_cpu_s": served["round_cpu_s"][burn_in - 1 :],
        "counted": served["counted"],
        "refused": served["refused"],
        "events": joined["events"],
        "ended": sum(done == burn_in + rounds for done in joined["rounds"]),
        "server_peak_mib": served["peak_mib"],
        "fleet_peak_mib": joined["peak_mib"],
        "broker_peak_mib": broker_mib,
        "fleet_cpu_s": joined["cpu_s"],
        "load_average": load,
    }


def lost_messages(done: dict[str, Any], clients: int) -> int:
    """Count updates that did not count, and clients that did not end: 0 where nothing was lost.

    What came twice was refused once, and is no loss.
    """
    short: int = sum(clients - counted for counted in done["counted"])
    return short + clients - int(done["ended"])


def rounds_per_s(done: dict[str, Any]) -> float:
    """Rounds a second, by the median round."""
    return 1.0 / float(np.median(done["round_s"]))


def _result(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Read a program's last line."""
    try:
        lines = process.communicate(timeout=_LIMIT_S)[0].splitlines()
        done: dict[str, Any] = json.loads(lines[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
        raise RuntimeError(f"a fleet's run did not end within {_LIMIT_S:.0f} s") from error
    return done


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
