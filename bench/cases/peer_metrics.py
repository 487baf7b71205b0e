"""Metrics of other packages' steps: their memory, and why a package has no time."""

from __future__ import annotations

import devices
from bench.extras import how_to_install
from bench.records.record import Metric
from bench.workloads.child import CASE_TIMEOUT_S, reading_metric, value_of
from bench.workloads.peers import OURS, PACKAGES, PeerTimes
from bench.workloads.steps import RETURN_BLOCKS


def peer_memory(name: str, model: str, batch: int) -> Metric:
    """Measure the memory of a peer's step in a fresh process.

    Args:
        name: of the peer.
        model: by name.
        batch: items of a step.
    """
    run = devices.run_isolated(
        "bench.workloads.peers:measure_peer",
        *(name, model, batch),
        timeout_s=CASE_TIMEOUT_S,
        env=RETURN_BLOCKS,
    )
    region = value_of(run, devices.Measurement)
    if region is None:
        return Metric.unmeasured("byte", str(run.error))
    return reading_metric(region.peak_above_baseline_bytes)


def missing_peers(times: PeerTimes) -> dict[str, Metric]:
    """Say for each package without a time whether it failed or is not installed."""
    return {
        f"{name} / {OURS}": Metric.unmeasured(
            "ratio", times.failed.get(name) or how_to_install(package)
        )
        for name, package in PACKAGES.items()
        if name not in times.seconds
    }
