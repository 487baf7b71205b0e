"""Compare two sets of records, figure by figure, against thresholds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.compare.gate_result import GateResult, State, judge
from bench.compare.seeds import sample_seeds
from bench.groups import TABLES, TESTS
from bench.records.gates import Gate, gate_of
from bench.records.record import Metric, Record
from bench.records.record_index import Results

# How often something was measured, not what: two records may differ in it.
_SAMPLING = {"run_seed", "runs", "processes", "repeats", "cycles"}
# What must be the same for times to be of one machine.
_PROFILE = (
    *("soc", "arch", "logical_cores", "memory_bytes", "accelerator"),
    *("governor", "power_mode", "threads", "emulator"),
)
_MEMORY_TOLERANCE = 0.02  # a kernel keeps more or less of the same memory to itself at each boot


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of one case, before and after."""

    case: str
    metric: str
    unit: str
    gate: Gate
    old: float | None
    new: float | None
    judgement: GateResult

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain JSON data."""
        return {
            "case": self.case,
            "metric": self.metric,
            "unit": self.unit,
            "old": self.old,
            "new": self.new,
            "threshold": self.gate.value,
            "state": self.judgement.state.value,
            "why": self.judgement.why,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All rows, and the cases that have none."""

    rows: tuple[Row, ...]
    refused: Mapping[str, str]  # case -> why its figures cannot be compared
    broken: Mapping[str, str]  # case -> how it fails now and did not before
    alone: tuple[str, ...]  # cases that only one side has
    remarks: tuple[str, ...]  # what differs between the two sides as a whole

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows that are worse by more than their threshold."""
        return tuple(row for row in self.rows if row.judgement.state is State.FAILS)

    @property
    def passes(self) -> bool:
        """Whether no threshold is exceeded and no case broke."""
        return not self.failures and not self.broken

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain JSON data."""
        return {
            "passes": self.passes,
            "rows": [row.to_json() for row in self.rows],
            "refused": dict(self.refused),
            "broken": dict(self.broken),
            "alone": list(self.alone),
            "remarks": list(self.remarks),
        }


def compare(old: Sequence[Record], new: Sequence[Record]) -> Comparison:
    """Compare the cases that two sets of records share.

    A case's figures are compared where both sides measured the same thing: the same version of the
    case, and the same value for each field that both configs have (how many samples apart).

    Args:
        old: the records of the baseline.
        new: the records to judge.

    Raises:
        ValueError: the two share no case that can be compared.
    """
    before, after = Results.of(old).by_case, Results.of(new).by_case
    shared = [case for case in before if case in after]
    refused = {c: why for c in shared if (why := _refusal(before[c], after[c]))}
    broken = {c: why for c in shared if (why := _breakage(before[c], after[c]))}
    broken |= dict.fromkeys(_gone(old, new), "gone: NEW ran its group without it")
    compared = [case for case in shared if case not in refused]
    if not compared:
        whys = "; ".join(f"{case}: {why}" for case, why in refused.items()) or "no case in common"
        raise ValueError(f"nothing can be compared: {whys}")
    return Comparison(
        rows=tuple(row for case in compared for row in _rows(before[case], after[case])),
        refused=refused,
        broken=broken,
        alone=tuple(sorted((before.keys() ^ after.keys()) - broken.keys())),
        remarks=(
            *_time_remarks([(before[case], after[case]) for case in compared]),
            *_remarks(old, new),
        ),
    )


def profile_difference(old: Record, new: Record) -> str | None:
    """Describe a difference of machine or ZO kernel that changes times; None if there is none."""
    one, other = old.provenance.device, new.provenance.device
    found = [name for name in _PROFILE if not _is_alike(name, one.get(name), other.get(name))]
    if found:
        return f"different machine: {', '.join(found)} differ"
    kernels = (old.provenance.zo_kernel, new.provenance.zo_kernel)
    if None not in kernels and len(set(kernels)) > 1:
        return f"different ZO kernel: {kernels[0]} in OLD, {kernels[1]} in NEW"
    return None


def _is_alike(name: str, one: Any, other: Any) -> bool:
    if name == "memory_bytes" and one and other:
        return math.isclose(one, other, rel_tol=_MEMORY_TOLERANCE)
    return bool(one == other)


def _refusal(old: Record, new: Record) -> str | None:
    if old.case_version != new.case_version:
        return f"case version {old.case_version} against {new.case_version}: not comparable"
    keys = (old.config.keys() & new.config.keys()) - _SAMPLING
    changed = [key for key in sorted(keys) if old.config[key] != new.config[key]]
    if changed:
        words = (f"{key} {old.config[key]!r} against {new.config[key]!r}" for key in changed)
        return f"different config: {', '.join(words)}"
    return None


def _breakage(old: Record, new: Record) -> str | None:
    if old.status == "ok" and new.status != "ok":
        return f"{new.status}: {new.error}"
    return None


def _gone(old: Sequence[Record], new: Sequence[Record]) -> Iterator[str]:
    """Find the cases that NEW lacks although it ran their group at their scale.

    Tables and tests are chosen one by one, so that one of them says nothing of the others.
    """
    ran = {(r.group, r.provenance.scale) for r in new if r.group not in {TABLES, TESTS}}
    cases = {record.case for record in new}
    for record in old:
        if record.case not in cases and (record.group, record.provenance.scale) in ran:
            yield record.case


def _rows(old: Record, new: Record) -> Iterator[Row]:
    elsewhere = profile_difference(old, new)
    for name, before in old.metrics.items():
        if name not in new.metrics and _breakage(old, new):
            continue  # reported once, for the case
        after = _after(before, new.metrics.get(name))
        gate = gate_of(new.group, name, after if before.value is None else before)
        seeds = (sample_seeds(old, name), sample_seeds(new, name))
        yield Row(
            case=new.case,
            metric=name,
            unit=before.unit,
            gate=gate,
            old=before.value,
            new=after.value,
            judgement=judge(gate, before, after, elsewhere=elsewhere, seeds=seeds),
        )


def _after(before: Metric, after: Metric | None) -> Metric:
    """Return the metric of NEW; one without value, with the reason, if it cannot be compared."""
    if after is None:
        return Metric.unmeasured(before.unit, "gone")
    if after.unit != before.unit:
        return Metric.unmeasured(before.unit, f"its unit is {after.unit} now, it was {before.unit}")
    return after


def _time_remarks(pairs: Sequence[tuple[Record, Record]]) -> Iterator[str]:
    """List why times are not compared, each reason once with its number of cases."""
    reasons = Counter(filter(None, (profile_difference(*pair) for pair in pairs)))
    for reason, count in reasons.items():
        yield f"{reason}; times are not compared ({count} of {len(pairs)} cases)"


def _remarks(old: Sequence[Record], new: Sequence[Record]) -> Iterator[str]:
    before, after = old[0].provenance.device, new[0].provenance.device
    versions = (before.get("versions", {}), after.get("versions", {}))
    for name in sorted(versions[0].keys() & versions[1].keys()):
        if versions[0][name] != versions[1][name]:
            yield f"{name} {versions[0][name]} against {versions[1][name]}"
    for side, records in (("OLD", old), ("NEW", new)):
        if any(record.provenance.dirty for record in records):
            yield f"{side} was made with uncommitted changes"
