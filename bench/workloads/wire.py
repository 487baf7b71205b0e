"""A server and clients whose loss costs nothing, so that what is measured is the network.

As a program, ``python -m bench.workloads.wire server ...`` or ``... clients ...``, it prints JSON
at its end.  Needs no torch.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.workloads.wire_fleet import drive_fleet
from bench.workloads.wire_stub import (
    PATIENCE_S,
    TOPICS,
    StubTrainer,
    stub_plan,
    stub_replica,
)
from zo_core.federation.mqtt.connection import SERVER
from zo_core.federation.mqtt.loops import client_link, join, serve, server_link
from zo_core.federation.mqtt.security import Security
from zo_core.federation.protocol.client import Client
from zo_core.federation.protocol.open_round import RoundSummary
from zo_core.federation.protocol.plan import Rules
from zo_core.federation.protocol.serving import begin
from zo_core.federation.store import FileStore


def run_server(arguments: argparse.Namespace) -> dict[str, Any]:
    """Serve stub rounds; tell when each ended and what the process took."""
    plan = stub_plan(
        arguments.method,
        clients=arguments.clients,
        cohort=arguments.cohort,
        rounds=arguments.rounds,
    )
    ends: list[float] = []
    cpu: list[float] = []  # of this process, seconds
    counted: list[int] = []

    def note(done: RoundSummary) -> None:
        ends.append(time.monotonic())
        cpu.append(time.process_time())
        counted.append(done.num_accepted)
        print(f"round {done.round_index}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder, rules = Path(name), Rules(wait_for=arguments.clients)
        store = FileStore(folder / "round.log")
        server = begin(
            plan, rules, stub_replica(arguments.weights), store, folder / "spool", on_round=note
        )
        link = server_link(TOPICS, SERVER)
        link.open(arguments.host, arguments.port, Security(insecure=True), patience_s=PATIENCE_S)
        serve(server, link, TOPICS)
        link.close()
        store.close()
    return {
        "round_s": np.diff(ends).tolist(),
        "round_cpu_s": np.diff(cpu).tolist(),
        "counted": counted,
        "refused": {reason.name: count for reason, count in server.refused.items()},
    }


def run_client(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one stub client by the connection that devices use."""
    number = arguments.first
    with tempfile.TemporaryDirectory() as name:
        client = Client(StubTrainer(arguments.weights), high=True, slot=number, spool=Path(name))
        link = client_link(TOPICS, f"c{number}")
        security = Security(ca=arguments.ca, insecure=True)
        link.open(arguments.host, arguments.port, security, patience_s=PATIENCE_S)
        join(client, link, TOPICS)
        link.close()
    return {"rounds": [client.next_round], "events": dict(client.events)}


def run_fleet(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run stub clients first .. first + count, all in one thread."""
    return drive_fleet(
        host=arguments.host,
        port=arguments.port,
        first=arguments.first,
        count=arguments.count,
        weights=arguments.weights,
    )


def peak_mib(pid: int) -> float:
    """Read a process's largest resident memory, MiB; ru_maxrss would begin with its parent's."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


_ROLES = {"server": run_server, "client": run_client, "fleet": run_fleet}


def main() -> None:
    """Be the server, one client, or a fleet of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=("server", "client", "fleet"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--method", choices=("zo", "fedavg"), default="zo")
    for name, default in (("clients", 8), ("cohort", 8), ("rounds", 50), ("weights", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--ca", type=Path, help="of a client: the broker's authority, for TLS")
    arguments = parser.parse_args()
    result, used = _ROLES[arguments.role](arguments), resource.getrusage(resource.RUSAGE_SELF)
    result |= {"peak_mib": peak_mib(os.getpid()), "cpu_s": used.ru_utime + used.ru_stime}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
