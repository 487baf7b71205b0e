"""What crosses one client's interface in a round of stub clients."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pytest
from optional import needs

from bench.workloads.wire import ClientsRun, ServerRun, Usage
from bench.workloads.wire_builds import ServerTimes, table
from bench.workloads.wire_echo import Echo, Heard
from bench.workloads.wire_measure import measure_wire, message_bytes, why_no_wire
from bench.workloads.wire_scale import FleetRun, measure_fleet
from bench.workloads.wire_stub import stub_plan, stub_replica
from zo_core.federation.protocol.actions import Action, Send
from zo_core.federation.protocol.plan import Rules
from zo_core.federation.protocol.serving import begin
from zo_core.federation.store import MemoryStore


@needs("mosquitto")
def test_a_zo_round_takes_less_than_a_kilobyte_up_and_down() -> None:
    if reason := why_no_wire():
        pytest.skip(reason)
    wire = measure_wire("zo", cohort=10, weights=100, first=3, rounds=10)
    assert 42 + 152 < wire.up + wire.down <= 1024


@pytest.mark.parametrize(
    ("payload", "method", "direction", "expected"),
    [
        (42, "zo", "up", 2 + 2 + 8 + 2 + 42),
        (152, "zo", "down", 3 + 2 + 6 + 2 + 152),
        (262_144, "fedavg", "up", 4 + 2 + 8 + 2 + 45 + 262_144),
        (262_145, "fedavg", "up", 4 + 12 + 45 + 262_144 + 2 + 12 + 45 + 1),
    ],
)
def test_publish_packets_are_counted_by_mqtts_rules(
    payload: int, method: str, direction: str, expected: int
) -> None:
    assert message_bytes(payload, method, direction) == expected


@pytest.mark.parametrize("method", ["zo", "fedavg"])
def test_a_stub_plan_draws_all_of_a_small_fleet(method: str) -> None:
    plan = stub_plan(method, clients=5, cohort=5, rounds=3)
    assert [len(plan.context_of(r).cohort) for r in range(3)] == [5, 5, 5]


@pytest.mark.network
@pytest.mark.process
@needs("mosquitto")
def test_a_fleet_in_one_thread_loses_no_message() -> None:
    run = measure_fleet(12, rounds=5, burn_in=1)
    assert run.server.num_accepted == (12,) * 6
    assert run.lost_messages(12) == 0
    assert len(run.server.round_s) == len(run.server.round_cpu_s) == 5


@pytest.mark.parametrize("late", [False, True])
def test_echoes_answer_every_round_of_a_server(tmp_path: Path, late: bool) -> None:
    plan, replica = stub_plan("zo", clients=3, cohort=3, rounds=4), stub_replica(10)
    accepted: list[int] = []
    server = begin(
        plan,
        Rules(wait_for=3),
        replica,
        MemoryStore(),
        tmp_path / "spool",
        on_round=lambda note: accepted.append(note.num_accepted),
    )
    heard = Heard()
    echoes = {f"c{slot}": Echo(heard, slot) for slot in range(3)}
    down: deque[Action] = deque()

    def up(name: str, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                down.extend(server.receive(name, action.body, 0.0))

    if late:  # it hears no roll call
        for name, echo in echoes.items():
            up(name, echo.connected(0.0))
    else:
        down.extend(server.start(0.0))
    while down:
        sent = down.popleft()
        for name, echo in echoes.items():
            if isinstance(sent, Send) and sent.to in (None, name):
                up(name, echo.receive(sent.body, 0.0))
    assert accepted == [3, 3, 3, 3]
    assert not server.refused
    assert [echo.next_round for echo in echoes.values()] == [4, 4, 4]


def test_the_servers_of_two_builds_stand_in_one_table() -> None:
    times = [
        ServerTimes(cpu_ms=np.array([2.0, 4.0, 3.0]), round_ms=np.array([9.0])),
        ServerTimes(cpu_ms=np.array([1.0, 1.0, 1.5]), round_ms=np.array([4.0])),
    ]
    lines = table({"old": times[:1], "new": times[1:]}).splitlines()
    assert lines[2].split(" | ")[2:] == ["3 (3 to 3)", "2", "9 (9 to 9)", "9", "1.00 |"]
    assert lines[3].split(" | ")[2:] == ["1 (1 to 1)", "1", "4 (4 to 4)", "4", "0.33 |"]


def test_what_is_lost_is_counted() -> None:
    usage = Usage(peak_mib=1.0, cpu_s=1.0)
    accepted = (3, 2, 3)
    server = ServerRun(round_s=(), round_cpu_s=(), num_accepted=accepted, refused={}, usage=usage)
    fleet = ClientsRun(rounds=(3, 3, 1), events={}, usage=usage)
    run = FleetRun(server=server, fleet=fleet, broker_peak_mib=1.0, rounds=3, load_average=0.0)
    assert run.lost_messages(3) == 1 + 1
