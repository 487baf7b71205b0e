"""One case's result as data: metrics with unit, method, n and spread, and where they come from."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from bench import SUITE_VERSION
from bench.records.case_name import CaseName
from bench.records.typed_json import from_json, has_fields

T = TypeVar("T")
SCHEMA = "zobench-record/2"  # name and version of the format


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure of a case; value is None, with a reason, where it could not be measured."""

    value: float | None  # the median or mean of the samples, as `statistic` says
    unit: str  # "byte", "second", "ratio", "share" and the like
    method: str  # how each sample was measured
    statistic: str = "single"  # "single", "median" or "mean"
    samples: tuple[float, ...] = ()  # all of them, in order
    reason: str | None = None  # why value is None

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.samples)

    @property
    def spread(self) -> tuple[float, float] | None:
        """Smallest and largest sample; None for fewer than two."""
        return (min(self.samples), max(self.samples)) if self.n > 1 else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation; None for fewer than two samples."""
        return statistics.stdev(self.samples) if self.n > 1 else None

    @classmethod
    def single(cls, value: float, unit: str, method: str) -> Metric:
        """Make the metric of one exact or unrepeated figure."""
        return cls(value=value, unit=unit, method=method, samples=(value,))

    @classmethod
    def median(cls, samples: Sequence[float], unit: str, method: str) -> Metric:
        """Make the metric of repeated measurements, by their median."""
        return cls(
            value=statistics.median(samples),
            unit=unit,
            method=method,
            statistic="median",
            samples=tuple(samples),
        )

    @classmethod
    def mean(cls, samples: Sequence[float], unit: str, method: str) -> Metric:
        """Make the metric of independent runs, by their mean."""
        return cls(
            value=statistics.fmean(samples),
            unit=unit,
            method=method,
            statistic="mean",
            samples=tuple(samples),
        )

    @classmethod
    def unmeasured(cls, unit: str, reason: str) -> Metric:
        """Make the metric of a figure that this device does not give."""
        return cls(value=None, unit=unit, method="none", reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What produced a record."""

    suite_version: str
    commit: str | None  # of the suite's own source; None outside of a checkout
    dirty: bool | None  # the checkout had uncommitted changes
    scale: str
    created: str  # ISO 8601, UTC
    device: Mapping[str, Any]  # the device profile, devices.DeviceSpec as JSON
    division: str = "open"  # "closed": the suite's fixed cases; "open": anything, as config says
    commit_reason: str | None = None  # why commit is None
    zo_kernel: str | None = None  # "c", "numpy", "triton" or "torch"; None: not recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One case's result."""

    case: str  # e.g. "memory/resnet18/zo/64"
    group: str  # "memory", "bytes", "time", "formulas", "accuracy", "engine"
    case_version: int  # raised when the case measures something else than before
    status: str  # "ok", or what went wrong: "error", "timeout", "killed", "does not fit"
    config: Mapping[str, Any]  # all that was chosen
    metrics: Mapping[str, Metric]
    details: Mapping[str, Any] = field(default_factory=dict)  # curves and tables, plain JSON
    error: str | None = None
    provenance: Provenance

    @property
    def name(self) -> CaseName:
        """The case's name, parsed."""
        return CaseName.parse(self.case)

    def details_as(self, kind: type[T]) -> T | None:
        """Return the details as their dataclass; None where there are none, or of another kind.

        Args:
            kind: one of the dataclasses of :mod:`bench.records.details`.

        Raises:
            ValueError: the details have the fields of this kind with other types.
        """
        if not self.details or not has_fields(kind, self.details):
            return None
        return from_json(kind, self.details)

    @property
    def config_hash(self) -> str:
        """The hash of the record's config."""
        return config_hash(self.config)

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON data, derived figures included."""
        data = asdict(self)
        data["schema"] = SCHEMA
        data["config_hash"] = self.config_hash
        for name, metric in self.metrics.items():
            data["metrics"][name] |= {"n": metric.n, "spread": metric.spread, "std": metric.std}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """Rebuild a record from :meth:`to_json`'s data.

        Raises:
            ValueError: the data does not have this program's schema.
        """
        require_schema(data)
        fields = {key: data[key] for key in cls.__dataclass_fields__}
        fields["provenance"] = Provenance(**data["provenance"])
        fields["metrics"] = {name: _metric(m) for name, m in data["metrics"].items()}
        return cls(**fields)


def require_schema(data: Mapping[str, Any]) -> None:
    """Refuse data of a different version of the format.

    Raises:
        ValueError: the schema is not this program's.
    """
    if data.get("schema") != SCHEMA:
        raise ValueError(
            f"schema must be {SCHEMA}, got {data.get('schema')!r}; use the version of zobench that"
            " wrote the record"
        )


def config_hash(config: Mapping[str, Any]) -> str:
    """Return the first 16 hex digits of a config's SHA-256 over its canonical JSON."""
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _metric(data: Mapping[str, Any]) -> Metric:
    fields = {key: data[key] for key in Metric.__dataclass_fields__}
    return Metric(**(fields | {"samples": tuple(fields["samples"])}))


def provenance(
    scale: str,
    device: Mapping[str, Any],
    division: str = "open",
    *,
    zo_kernel: str | None = None,
) -> Provenance:
    """Describe what produces records now.

    Args:
        scale: name of the run's scale.
        device: the device profile as JSON.
        division: "closed" for the suite's fixed cases, else "open".
        zo_kernel: what :func:`zo_core.kernels.default_kernel` names; None where no ZO pass ran.
    """
    commit, dirty = source_commit()
    return Provenance(
        suite_version=SUITE_VERSION,
        commit=commit,
        dirty=dirty,
        scale=scale,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        device=device,
        division=division,
        commit_reason=None if commit else why_no_commit(),
        zo_kernel=zo_kernel,
    )


@cache
def source_commit() -> tuple[str | None, bool | None]:
    """Say the commit of the checkout that this file lies in, and whether it has changes.

    Returns:
        Hash and dirty flag; outside of a checkout the hash in ZOBENCH_COMMIT, else None for both.
    """
    folder = Path(__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("ZOBENCH_COMMIT"), None


def why_no_commit(folder: Path = Path(__file__).parent) -> str | None:
    """Say why git tells no commit for a folder, None where it does."""
    try:
        _git(folder, "rev-parse", "HEAD")
    except OSError as error:
        return f"git does not run here ({error.strerror})"
    except subprocess.CalledProcessError as error:
        if "dubious ownership" in error.stderr:
            return "the checkout belongs to a different user (see git's safe.directory)"
        return "made outside of a checkout"
    return None


def _git(folder: Path, *command: str) -> str:
    return subprocess.run(
        ["git", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout.strip()
