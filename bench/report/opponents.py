"""Which step of ZO is compared with which step of backprop: plain, and most memory-efficient."""

from __future__ import annotations

from dataclasses import dataclass

from bench.paper import BATCH
from bench.records.record_index import Results
from bench.report.costs import whole_figure
from bench.step_variants import BACKPROP_VARIANTS, FORWARD_VARIANTS

_STEPS = {
    "zo": ("zo", *(variant.method for variant in FORWARD_VARIANTS)),
    "fedavg": ("fedavg", *(variant.method for variant in BACKPROP_VARIANTS)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opponents:
    """A step of ZO and the step of backprop that it is compared with, at the paper's batch."""

    name: str  # "plain steps"
    zo: str  # methods of the groups memory and time
    backprop: str

    @property
    def methods(self) -> tuple[str, str]:
        """Both, ZO first."""
        return self.zo, self.backprop


PLAIN = Opponents(name="plain steps", zo="zo", backprop="fedavg")


def opponents_of(results: Results, model: str) -> list[Opponents]:
    """List who is compared with whom: plain with plain, least memory with least memory.

    The second pair is left out where no variant of either was measured.
    """
    zo, backprop = (least_memory(results, model, kind) for kind in ("zo", "fedavg"))
    if zo is None or backprop is None or (zo, backprop) == PLAIN.methods:
        return [PLAIN]
    return [PLAIN, Opponents(name="most memory-efficient steps", zo=zo, backprop=backprop)]


def least_memory(results: Results, model: str, kind: str) -> str | None:
    """Return the method whose whole process needs the least memory for the same step.

    Args:
        results: the records.
        model: its name.
        kind: "zo" or "fedavg".
    """
    figure = whole_figure(results)
    peaks = {name: figure.value(results, model, name, BATCH) for name in _STEPS[kind]}
    found = {name: peak for name, peak in peaks.items() if peak is not None}
    return min(found, key=lambda name: found[name], default=None)
