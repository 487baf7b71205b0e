"""Bytes of one round on a real wire: MQTT by Mosquitto, one client alone on a virtual cable."""

from __future__ import annotations

from collections.abc import Sequence

from bench.bench_bytes import round_payloads
from bench.cases import with_parameters
from bench.paper import COHORT
from bench.record import single, unmeasured
from bench.results import Results
from bench.scales import Scale
from bench.suite import Suite
from bench.tables import Cell, Table
from bench.wire_measure import LEVELS, measure_wire, message_bytes, why_no_wire
from zo_core.federation.rounds import scalar_bytes

_WEIGHTS = {"zo": 1000, "fedavg": 11_173_962}  # ZO's bytes do not depend on the model
_COHORTS = {"zo": COHORT, "fedavg": 2}  # FedAvg's do not depend on the cohort
_ROUNDS = {"zo": (20, 60), "fedavg": (1, 3)}  # before the count, and counted
_HOW = {
    "scalars": "4 bytes a number",
    "payload": "length of the encoded payload",
    "message": "length of the PUBLISH packets",
    "wire": "the client's interface counters, frames and acknowledgements included",
}


def _cases(scale: Scale) -> list[str]:
    return ["zo", "fedavg"]


@with_parameters("method", _cases)
def test_wire_bytes(suite: Suite, method: str) -> None:
    """Count a client's bytes, a round, at all four levels."""
    up, down = round_payloads("resnet18", method)
    reason, (first, rounds) = why_no_wire(), _ROUNDS[method]
    wire = (
        None
        if reason
        else measure_wire(
            method,
            cohort=_COHORTS[method],
            weights=_WEIGHTS[method],
            first=first,
            rounds=rounds,
        )
    )
    sizes: dict[str, float | None] = {}
    for way, payload in (("up", up), ("down", down)):
        sizes[f"{way}_scalars"] = scalar_bytes(payload)
        sizes[f"{way}_payload"] = payload.num_bytes
        sizes[f"{way}_message"] = message_bytes(payload.num_bytes, method, way)
        sizes[f"{way}_wire"] = None if wire is None else wire[way]
    suite.record(
        case=f"wire/mqtt/{method}",
        config={"transport": "mqtt", "tls": False, "method": method, "cohort": _COHORTS[method]}
        | {"rounds": rounds, "mtu": 1500, "segmentation_offload": False},
        metrics={
            name: unmeasured("byte", reason or "not measured")
            if size is None
            else single(size, "byte", _HOW[name.partition("_")[2]])
            for name, size in sizes.items()
        },
        details=wire or {},
        headline=reason
        or f"{sizes['up_wire']:,.0f} bytes up, {sizes['down_wire']:,.0f} down on the wire",
    )


def wire_tables(results: Results) -> Sequence[Table]:
    """Tabulate a client's bytes a round by level."""
    records = [record for record in results.group("wire") if record.status == "ok"]
    if not records:
        return []
    rows = []
    for record in records:
        for way in ("up", "down"):
            values = [record.metrics[f"{way}_{level}"].value for level in LEVELS]
            cells = [Cell("–" if value is None else f"{value:,.0f}") for value in values]
            rows.append((Cell(f"{record.config['method']}, {way}"), *cells))
    columns = ("MQTT", *LEVELS)
    caption = "Bytes for each client and round, by level"
    return [Table(caption=caption, columns=columns, rows=tuple(rows), labels=1)]
