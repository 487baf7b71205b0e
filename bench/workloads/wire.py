"""A server and clients whose loss costs nothing, so that what is measured is the network.

As a program, ``python -m bench.workloads.wire server ...`` or ``... fleet ...``, it prints its
:class:`ServerRun` or :class:`ClientsRun` as JSON at its end.  Needs no torch.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.records.typed_json import to_json
from bench.workloads.wire_fleet import drive_fleet
from bench.workloads.wire_stub import (
    PATIENCE_S,
    TOPICS,
    StubTrainer,
    stub_plan,
    stub_replica,
)
from zo_core.federation.mqtt.link import SERVER
from zo_core.federation.mqtt.loops import client_link, join, serve, server_link
from zo_core.federation.mqtt.security import Security
from zo_core.federation.protocol.client import Client
from zo_core.federation.protocol.open_round import RoundSummary
from zo_core.federation.protocol.plan import Rules
from zo_core.federation.protocol.serving import begin
from zo_core.federation.store import FileStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process took."""

    peak_mib: float  # resident memory
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRun:
    """The rounds of a server."""

    round_s: tuple[float, ...]  # from one result to the next
    round_cpu_s: tuple[float, ...]  # of this process
    num_accepted: tuple[int, ...]  # updates, by round
    refused: Mapping[str, int]  # messages, by reason
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientsRun:
    """The runs of some clients."""

    rounds: tuple[int, ...]  # that each client ended at
    events: Mapping[str, int]  # of all, by name
    usage: Usage


def run_server(arguments: argparse.Namespace) -> ServerRun:
    """Serve stub rounds."""
    plan = stub_plan(
        arguments.method,
        clients=arguments.clients,
        cohort=arguments.cohort,
        rounds=arguments.rounds,
    )
    ends: list[float] = []
    cpu: list[float] = []  # of this process, seconds
    accepted: list[int] = []

    def note(done: RoundSummary) -> None:
        ends.append(time.monotonic())
        cpu.append(time.process_time())
        accepted.append(done.num_accepted)
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
    return ServerRun(
        round_s=tuple(np.diff(ends).tolist()),
        round_cpu_s=tuple(np.diff(cpu).tolist()),
        num_accepted=tuple(accepted),
        refused={reason.name: count for reason, count in server.refused.items()},
        usage=_usage(),
    )


def run_client(arguments: argparse.Namespace) -> ClientsRun:
    """Run one stub client by the connection that devices use."""
    number = arguments.first
    with tempfile.TemporaryDirectory() as name:
        client = Client(StubTrainer(arguments.weights), high=True, slot=number, spool=Path(name))
        link = client_link(TOPICS, f"c{number}")
        security = Security(ca=arguments.ca, insecure=True)
        link.open(arguments.host, arguments.port, security, patience_s=PATIENCE_S)
        join(client, link, TOPICS)
        link.close()
    return ClientsRun(rounds=(client.next_round,), events=client.events, usage=_usage())


def run_fleet(arguments: argparse.Namespace) -> ClientsRun:
    """Run stub clients first .. first + count, all in one thread."""
    clients = drive_fleet(
        host=arguments.host,
        port=arguments.port,
        first=arguments.first,
        count=arguments.count,
        weights=arguments.weights,
        echoes_only=arguments.echoes_only,
    )
    events = sum((client.events for client in clients), Counter[str]())
    rounds = tuple(client.next_round for client in clients)
    return ClientsRun(rounds=rounds, events=events, usage=_usage())


def _usage() -> Usage:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(peak_mib=peak_mib(os.getpid()), cpu_s=used.ru_utime + used.ru_stime)


def peak_mib(pid: int | str) -> float:
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
    parser.add_argument("--echoes-only", action="store_true", help="of a fleet: no whole client")
    parser.add_argument("--ca", type=Path, help="of a client: the broker's authority, for TLS")
    arguments = parser.parse_args()
    print(json.dumps(to_json(_ROLES[arguments.role](arguments))), flush=True)


if __name__ == "__main__":
    main()
