"""The threshold of each metric when two records of a case are compared, as one table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from bench.records.record import Metric


class Gate(Enum):
    """A kind of threshold; the value is its name in tables and in JSON."""

    EXACT = "exact"
    TENSOR = "tensor memory, 1 %"
    PROCESS = "process memory, 5 %"
    TIME = "time, 1.10"
    ACCURACY = "accuracy, paired seeds"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: patterns as of a shell; the first row that matches decides."""

    gate: Gate
    group: str = "*"
    name: str = "*"
    unit: str = "*"
    method: str = "*"


RULES = (
    # The cost of other people's code is shown for comparison and has no threshold.
    Rule(gate=Gate.NONE, name="baseline*"),
    Rule(gate=Gate.NONE, group="engine", name="mezo*"),
    Rule(gate=Gate.NONE, group="engine", name="torch_signs*"),
    Rule(gate=Gate.NONE, group="engine", name="phase_*"),  # parts of the step
    Rule(gate=Gate.TENSOR, name="device_allocated*", unit="byte"),
    # The rest of a GPU's memory depends on the allocator's history or on the driver.
    Rule(gate=Gate.NONE, name="device_*", unit="byte"),
    Rule(gate=Gate.EXACT, name="*_scalar*", unit="byte"),
    Rule(gate=Gate.EXACT, name="*payload*", unit="byte"),
    Rule(gate=Gate.EXACT, name="*message*", unit="byte"),
    Rule(gate=Gate.EXACT, name="changed", unit="count"),
    Rule(gate=Gate.EXACT, unit="byte", method="*encoded payload*"),
    Rule(gate=Gate.TENSOR, name="*tensor*", unit="byte"),
    Rule(gate=Gate.TENSOR, unit="byte", method="*live tensors*"),
    Rule(gate=Gate.TENSOR, unit="byte", method="*fake tensors*"),
    Rule(gate=Gate.TENSOR, unit="byte", method="*tensor storage*"),
    Rule(gate=Gate.PROCESS, unit="byte", method="*VmHWM*"),
    Rule(gate=Gate.PROCESS, unit="byte", method="*ru_maxrss*"),
    Rule(gate=Gate.PROCESS, unit="byte", method="*cgroup*"),
    Rule(gate=Gate.PROCESS, unit="byte", method="*RSS*"),
    Rule(gate=Gate.TIME, unit="second"),
    Rule(gate=Gate.TIME, group="engine", name="* / add"),
    Rule(gate=Gate.TIME, group="engine", name="step / forwards"),
    Rule(gate=Gate.ACCURACY, name="*test_accuracy", unit="share"),
)


def gate_of(group: str, name: str, metric: Metric) -> Gate:
    """Return the kind of a metric's threshold; a metric that no row matches has none.

    Args:
        group: of the metric's record.
        name: of the metric in it.
        metric: its unit and method decide as well.
    """
    for rule in RULES:
        patterns = (rule.group, rule.name, rule.unit, rule.method)
        if all(map(fnmatchcase, (group, name, metric.unit, metric.method), patterns)):
            return rule.gate
    return Gate.NONE
