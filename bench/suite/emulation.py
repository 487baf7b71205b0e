"""Records of an emulated machine: its bits are true, its time, energy and memory are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bench.records.gates import Gate, gate_of
from bench.records.record import Metric
from bench.suite.scales import Scale

_VALID_WHEN_EMULATED = {Gate.EXACT, Gate.TENSOR, Gate.ACCURACY}
_UNTRUE_UNITS = {"byte", "second", "joule", "ratio", "GB/s"}


def mask_emulated(
    group: str, metrics: Mapping[str, Metric], emulator: str | None
) -> Mapping[str, Metric]:
    """Take out what an emulator cannot tell.

    Args:
        group: the group of the metrics' record.
        metrics: as measured.
        emulator: the device profile's; None where a processor ran.

    Returns:
        The metrics; those of time, energy and process memory without value, with the reason.
    """
    if emulator is None:
        return metrics
    return {name: _judged(group, name, metric, emulator) for name, metric in metrics.items()}


def emulator_warning(emulator: str | None) -> str | None:
    """Return what to know before an emulated run, None where a processor runs.

    Args:
        emulator: the device profile's.
    """
    if emulator is None:
        return None
    return (
        f"warning: {emulator} emulates this processor: times and process memory on this console"
        " are the emulator's, and the records leave them out"
    )


def once(scale: Scale) -> Scale:
    """Cut repeats, of which nothing is kept there, to one, and batches to the smallest.

    A forward of one image takes ten seconds there; counts at one batch tell the same bits.
    """
    return replace(
        scale,
        memory_processes=1,
        memory_batches=scale.memory_batches[:1],
        time_repeats=1,
        time_batches=scale.time_batches[:1],
        engine_repeats=1,
    )


def _judged(group: str, name: str, metric: Metric, emulator: str) -> Metric:
    if gate_of(group, name, metric) in _VALID_WHEN_EMULATED or metric.unit not in _UNTRUE_UNITS:
        return metric
    reason = f"emulated by {emulator}: its time and memory are not the processor's"
    return replace(metric, value=None, samples=(), method="none", statistic="single", reason=reason)
