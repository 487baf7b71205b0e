"""What crosses one client's interface in a round of stub clients."""

from __future__ import annotations

import pytest
from optional import needs

from bench.workloads.wire import ClientsRun, ServerRun, Usage
from bench.workloads.wire_measure import measure_wire, message_bytes, why_no_wire
from bench.workloads.wire_scale import FleetRun, measure_fleet
from bench.workloads.wire_stub import stub_plan


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


def test_a_stub_plan_draws_all_of_a_small_fleet() -> None:
    plan = stub_plan("zo", clients=5, cohort=5, rounds=3)
    assert [len(plan.context_of(r).cohort) for r in range(3)] == [5, 5, 5]


@pytest.mark.network
@pytest.mark.process
@needs("mosquitto")
def test_a_fleet_in_one_thread_loses_no_message() -> None:
    run = measure_fleet(12, rounds=5, burn_in=1)
    assert run.server.num_accepted == (12,) * 6
    assert run.lost_messages(12) == 0
    assert len(run.server.round_s) == len(run.server.round_cpu_s) == 5


def test_what_is_lost_is_counted() -> None:
    usage = Usage(peak_mib=1.0, cpu_s=1.0)
    accepted = (3, 2, 3)
    server = ServerRun(round_s=(), round_cpu_s=(), num_accepted=accepted, refused={}, usage=usage)
    fleet = ClientsRun(rounds=(3, 3, 1), events={}, usage=usage)
    run = FleetRun(server=server, fleet=fleet, broker_peak_mib=1.0, rounds=3, load_average=0.0)
    assert run.lost_messages(3) == 1 + 1
