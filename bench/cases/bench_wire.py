"""Bytes of one round on a real wire, one client alone on a virtual cable; a growing fleet."""

from __future__ import annotations

import pytest

from bench.cases.bench_bytes import round_payloads
from bench.format import MIB
from bench.paper import COHORT
from bench.records.case_name import CaseName
from bench.records.details.machine import FleetDetails
from bench.records.record import Metric
from bench.suite.parametrize import with_parameters
from bench.suite.scales import Scale
from bench.suite.suite import Suite
from bench.workloads.wire_measure import (
    MTU,
    NO_BROKER,
    measure_wire,
    message_bytes,
    mosquitto,
    why_no_wire,
)
from bench.workloads.wire_scale import measure_fleet

_WEIGHTS = {"zo": 1000, "fedavg": 11_173_962}  # ZO's bytes do not depend on the model
_COHORTS = {"zo": COHORT, "fedavg": 2}  # FedAvg's do not depend on the cohort
_ROUNDS = {"zo": (20, 60), "fedavg": (1, 3)}  # before the count, and counted
_FLEET_ROUNDS = 30
_HOW_FLEET = "median of the rounds after five, from one result to the next, at the server"
_HOW = {
    "scalars": "4 bytes a number",
    "payload": "length of the encoded payload",
    "message": "length of the PUBLISH packets",
    "wire": "the client's interface counters, frames and acknowledgements included",
}


def _cases(scale: Scale) -> list[tuple[str, bool]]:
    return [("zo", False), ("zo", True), ("fedavg", False)]


@with_parameters("method, tls", _cases)
def test_wire_bytes(suite: Suite, method: str, tls: bool) -> None:
    """Count a client's bytes, a round, at all four levels."""
    up, down = round_payloads("resnet18", method)
    reason, (first, rounds) = why_no_wire(tls=tls), _ROUNDS[method]
    wire = (
        None
        if reason
        else measure_wire(
            method,
            cohort=_COHORTS[method],
            weights=_WEIGHTS[method],
            first=first,
            rounds=rounds,
            tls=tls,
        )
    )
    sizes: dict[str, float | None] = {}
    on_wire = {"up": wire.up, "down": wire.down} if wire else {}
    for direction, payload in (("up", up), ("down", down)):
        sizes[f"{direction}_scalars"] = payload.scalar_bytes
        sizes[f"{direction}_payload"] = payload.num_bytes
        sizes[f"{direction}_message"] = message_bytes(payload.num_bytes, method, direction)
        sizes[f"{direction}_wire"] = on_wire.get(direction)
    suite.record(
        case=CaseName.of("wire", "mqtt-tls" if tls else "mqtt", method),
        config={"transport": "mqtt", "tls": tls, "method": method, "cohort": _COHORTS[method]}
        | {"rounds": rounds, "mtu": MTU, "segmentation_offload": False},
        metrics={
            name: Metric.unmeasured("byte", reason or "not measured")
            if size is None
            else Metric.single(size, "byte", _HOW[name.partition("_")[2]])
            for name, size in sizes.items()
        },
        details=wire or {},
        headline=reason
        or f"{sizes['up_wire']:,.0f} bytes up, {sizes['down_wire']:,.0f} down on the wire",
    )


@with_parameters("clients", lambda scale: scale.fleets)
def test_fleet(suite: Suite, clients: int) -> None:
    """Time rounds of a whole fleet by one broker, and see that no message is lost."""
    if mosquitto() is None:
        suite.leave_out(NO_BROKER)
        pytest.skip(NO_BROKER)
    run = measure_fleet(clients, rounds=_FLEET_ROUNDS)
    server, fleet, lost = run.server, run.fleet, run.lost_messages(clients)
    metrics = {
        "round": Metric.median(server.round_s, "second", _HOW_FLEET),
        "server_cpu": Metric.median(server.round_cpu_s, "second", "the server's CPU time a round"),
        "message_cpu": Metric.median(
            [used / clients for used in server.round_cpu_s],
            "second",
            "the server's CPU time a round, per client",
        ),
        "rounds_per_s": Metric.single(run.rounds_per_s, "round/second", _HOW_FLEET),
        "lost": Metric.single(
            lost, "message", "updates that did not count, refusals, clients left behind"
        ),
        "server_peak": Metric.single(server.usage.peak_mib * MIB, "byte", "VmHWM"),
        "broker_peak": Metric.single(run.broker_peak_mib * MIB, "byte", "VmHWM"),
        "fleet_peak": Metric.single(fleet.usage.peak_mib * MIB, "byte", "VmHWM"),
    }
    suite.record(
        case=CaseName.of("wire", "fleet", clients),
        case_version=2,
        config={"transport": "mqtt", "clients": clients, "cohort": clients, "rounds": _FLEET_ROUNDS}
        | {"directions": 3, "broker": "mosquitto"},
        metrics=metrics,
        details=FleetDetails(
            refused=server.refused,
            events=fleet.events,
            fleet_cpu_s=fleet.usage.cpu_s,
            load_average=run.load_average,
        ),
        status="ok" if lost == 0 else "error",
        error=None if lost == 0 else f"{lost} messages were lost",
        headline=f"{run.rounds_per_s:.1f} rounds/s, server {server.usage.peak_mib:.0f} MiB,"
        f" {lost} messages lost",
    )
