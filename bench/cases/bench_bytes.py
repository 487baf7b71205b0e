"""Bytes of one federated round for each client, from payloads that are really encoded."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.paper import CLIENT_IMAGES, COHORT, DIRECTIONS
from bench.records.case_name import CaseName
from bench.records.record import Metric
from bench.suite.parametrize import with_parameters
from bench.suite.scales import Scale
from bench.suite.suite import Suite
from bench.workloads.steps import build
from zo_core.model_names import model_label
from zo_core.payloads.core import DenseWeights, Payload, RoundResult, ScalarUpdate
from zo_core.replica import Replica

_RUN: dict[str, Any] = {"run_id": 1, "round_index": 0}


def _cases(scale: Scale) -> list[tuple[str, str]]:
    return [(model, method) for model in scale.memory_models for method in ("zo", "fedavg")]


@with_parameters("model, method", _cases)
def test_round_bytes(suite: Suite, model: str, method: str) -> None:
    """Encode what a client sends and receives, and count."""
    up, down = round_payloads(model, method)
    sizes = {
        "up_scalars": up.scalar_bytes,
        "up_payload": len(up.encode()),
        "down_scalars": down.scalar_bytes,
        "down_payload": len(down.encode()),
    }
    suite.record(
        case=CaseName.bytes(model_label(model), method),
        config={
            "model": model_label(model),
            "source": model,
            "method": method,
            "directions": DIRECTIONS,
            "cohort": COHORT,
        },
        metrics={
            name: Metric.single(size, "byte", "length of the encoded payload, or 4 bytes a number")
            for name, size in sizes.items()
        },
        headline=f"{sizes['up_payload']:,} bytes up, {sizes['down_payload']:,} bytes down a client",
    )


def round_payloads(model: str, method: str) -> tuple[Payload, Payload]:
    """Build one round's up-link and down-link payload of a client."""
    if method == "fedavg":
        values = Replica(build(model)).values()
        dense = DenseWeights(slot=0, samples=CLIENT_IMAGES, values=values, **_RUN)
        return dense, dense
    scalars = np.linspace(-1e-4, 1e-4, DIRECTIONS * COHORT, dtype=np.float32)
    update = ScalarUpdate(slot=0, digest=bytes(8), differences=scalars[:DIRECTIONS], **_RUN)
    result = RoundResult(
        digest=bytes(8),
        participates=np.ones(COHORT, dtype=bool),
        differences=scalars.reshape(COHORT, DIRECTIONS),
        **_RUN,
    )
    return update, result
