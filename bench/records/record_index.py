"""The records of a run, looked up by case, with the reason wherever a figure is not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.labels import MODELS
from bench.records.case_name import CaseName
from bench.records.record import Metric, Record

_NO_REASON = "no reason was recorded"


@dataclass(frozen=True, slots=True)
class Results:
    """Hold the records of one folder by case."""

    by_case: Mapping[str, Record]

    @classmethod
    def of(cls, records: Iterable[Record]) -> Results:
        """Index records by case."""
        return cls({record.case: record for record in records})

    def group(self, name: str) -> list[Record]:
        """Return a group's records, failed ones included."""
        return [record for record in self.by_case.values() if record.group == name]

    def record(self, case: CaseName | str) -> Record | None:
        """Return a case's record; None where there is none."""
        return self.by_case.get(str(case))

    def metric(self, case: CaseName | str, name: str) -> Metric | None:
        """Return a metric that has a value; None where there is none."""
        record = self.record(case)
        metric = record.metrics.get(name) if record else None
        return metric if metric is not None and metric.value is not None else None

    def value(self, case: CaseName | str, name: str) -> float | None:
        """Return a metric's value; None where there is none."""
        metric = self.metric(case, name)
        return metric.value if metric else None

    def reason(self, case: CaseName | str, name: str) -> str:
        """Say in a few words why a metric has no value."""
        record = self.record(case)
        if record is None:
            return "not run"
        if record.status != "ok":
            return record.status
        return "not measured"

    def missing(self, group: str) -> list[str]:
        """Say which figures the records lack and why; a line serves all that lack one alike."""
        cases: dict[tuple[str, str], list[str]] = {}
        for record in self.group(group):
            for missing in _missing_of(record):
                cases.setdefault(missing, []).append(record.case)
        return [f"{before}{_cases(names)}{after}" for (before, after), names in cases.items()]

    def models(self, group: str) -> list[str]:
        """List a group's models: ours in their order, ResNet18 of Table 1 first, then others."""
        names = {str(record.config["model"]) for record in self.group(group)}
        return [*(name for name in MODELS if name in names), *sorted(names - MODELS.keys())]

    def batches(self, group: str, model: str) -> list[int]:
        """List the batch sizes that a group has of a model."""
        records = [r for r in self.group(group) if r.config["model"] == model]
        return sorted({int(record.config["batch"]) for record in records})

    def splits(self) -> list[str]:
        """List the accuracy cases' splits, e.g. "10-90"."""
        return sorted({record.name.split for record in self.group("accuracy")})

    def algorithms(self) -> list[str]:
        """List the accuracy cases' algorithms, ZOWarmUp first."""
        names = {record.name.variant for record in self.group("accuracy")}
        return sorted(names, key=lambda name: (name != "zowarmup", name))


def _missing_of(record: Record) -> list[tuple[str, str]]:
    """List what a record lacks and why, each as the words before and after the case's name."""
    if record.status != "ok":
        return [("", f": {record.status}: {record.error or _NO_REASON}")]
    return [
        (f"{name.replace('_', ' ')} not measured (", f"): {metric.reason or _NO_REASON}")
        for name, metric in record.metrics.items()
        if metric.value is None
    ]


def _cases(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} cases, {names[0]} to {names[-1]}"
