"""A process peak that its own step contradicts is refused, by the suite and by `zobench check`."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import devices
from bench.cases.bench_memory import _record
from bench.records.record import Metric, Record, provenance
from bench.records.record import why_no_commit as reason_in
from bench.records.step_memory import implausible_peak, unexplained_peak
from bench.records.typed_json import to_json
from bench.records.validate import check_file
from bench.workloads.steps import MeasuredStep
from devices import Reading
from devices.tensor_peak import TensorPeak

MIB = 2**20


def metrics_of(*peaks_mib: float, tensors_mib: float) -> dict[str, Metric]:
    return {
        "peak_above_baseline": Metric.median([peak * MIB for peak in peaks_mib], "byte", "VmHWM"),
        "tensor_peak_above_baseline": Metric.single(tensors_mib * MIB, "byte", "storages"),
    }


# ResNet18 at batch 64 under a preloaded tcmalloc, and what the project's own records contain.
@pytest.mark.parametrize(
    ("peaks_mib", "tensors_mib", "words"),
    [
        ((1.5,), 317, "must be at least"),  # FedAvg
        ((0.0,), 64, "must be at least"),  # ZO
        ((-0.1,), 64, "must be >= 0"),  # inference
        ((317.0, 317.0, 20.0), 317, "must be at least"),  # one process of three
        ((-0.1,), 0, "must be >= 0"),
        ((317.0,), 317, None),
        ((1.50,), 1.65, None),
        ((0.02,), 0.03, None),
        ((400.0,), 317, None),
    ],
)
def test_a_peak_below_zero_or_far_below_the_steps_tensors_is_implausible(
    peaks_mib: tuple[float, ...], tensors_mib: float, words: str | None
) -> None:
    problem = implausible_peak("cpu", metrics_of(*peaks_mib, tensors_mib=tensors_mib))

    assert (problem is None) == (words is None)
    assert words is None or words in str(problem)


def test_a_peak_that_is_null_or_of_another_memory_is_not_judged() -> None:
    null = {"peak_above_baseline": Metric.unmeasured("byte", "freed memory stays resident")}
    on_gpu = metrics_of(0.0, tensors_mib=64) | {
        "device_allocated_above_baseline": Metric.single(64 * MIB, "byte", "allocator")
    }

    assert implausible_peak("cpu", metrics_of(1.0, tensors_mib=64) | null) is None
    assert implausible_peak("cpu", {}) is None
    assert implausible_peak("cuda", on_gpu) is None


# What OPT-125M at batch 8 read before composite operators were counted, and after; GRU; ResNet18.
@pytest.mark.parametrize(
    ("peak_mib", "counted_mib", "is_explained"),
    [(393, 199, False), (393, 392.8, True), (123.5, 80, False), (317.5, 317, True), (8, 0, True)],
)
def test_a_peak_far_above_tensors_and_buffers_is_remarked(
    peak_mib: float, counted_mib: float, is_explained: bool
) -> None:
    metrics = metrics_of(peak_mib, tensors_mib=counted_mib)
    counted = Metric.single(counted_mib * MIB, "byte", "storages and buffers")
    found = unexplained_peak("cpu", {**metrics, "tensor_and_buffer_peak_above_baseline": counted})

    assert (found is None) is is_explained
    assert unexplained_peak("cpu", metrics) is None
    assert unexplained_peak("cuda", metrics) is None


def test_check_refuses_such_a_record(tmp_path: Path) -> None:
    record = Record(
        case="memory/cnn/fedavg/b64",
        group="memory",
        case_version=2,
        status="ok",
        config={"model": "cnn", "device": "cpu"},
        metrics=metrics_of(1.5, tensors_mib=317),
        provenance=provenance("smoke", devices.detect().to_json()),
    )
    path = tmp_path / "memory-cnn-fedavg-b64.json"
    path.write_text(json.dumps(record.to_json()))

    (problem,) = check_file(path).problems

    assert problem.startswith("metrics.peak_above_baseline must be at least")


def ended(value: Any) -> devices.IsolatedResult:
    return devices.IsolatedResult(
        status="ok",
        value=to_json(value),
        error=None,
        phase=None,
        exit_code=0,
        signal_name=None,
        output_tail="",
        seconds=1.0,
        limit_bytes=None,
        limit_method=None,
        limit_peak_bytes=devices.missing("byte", "no limit was set"),
    )


def region(above: int | None) -> devices.Measurement:
    with devices.measure() as measured:
        pass
    return replace(
        measured,
        baseline_bytes=Reading(value=200 * MIB, unit="byte", method="VmRSS"),
        peak_bytes=Reading(value=500 * MIB, unit="byte", method="VmHWM"),
        peak_above_baseline_bytes=devices.missing("byte", "freed memory stays resident")
        if above is None
        else Reading(value=above, unit="byte", method="VmHWM"),
    )


def recorded(*above: int | None) -> dict[str, Any]:
    """What the suite records of processes with these peaks, for a step of 317 MiB of tensors."""
    seen: dict[str, Any] = {}
    suite = SimpleNamespace(device_type="cpu", record=lambda **fields: seen.update(fields))
    peak = TensorPeak(
        baseline_bytes=43 * MIB,
        peak_bytes=360 * MIB,
        with_buffers_bytes=360 * MIB,
        by_category={},
        ignored_bytes=0,
    )
    runs = [ended(MeasuredStep(region=region(each), device=None)) for each in above]
    _record(suite, ("cnn", "fedavg", 64, None), ended({"fedavg": peak}), runs)  # type: ignore[arg-type]
    return seen


def test_the_suite_records_an_error_in_place_of_such_a_peak() -> None:
    fields = recorded(MIB)

    assert fields["status"] == "error"
    assert "reused memory" in fields["error"]
    assert fields["metrics"] == {}


def test_a_null_peak_keeps_its_reason_whichever_process_had_none() -> None:
    fields = recorded(317 * MIB, None)

    assert fields["status"] == "ok"
    assert fields["metrics"]["peak_above_baseline"].reason == "freed memory stays resident"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for scope in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{scope}", "/dev/null")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    commit = ["git", *who, "commit", "-q", "--allow-empty", "-m", "a"]
    subprocess.run(commit, cwd=tmp_path, check=True)
    return tmp_path


def test_a_checkout_of_another_owner_says_why_it_has_no_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reason_in(repository) is None
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    assert "belongs to a different user" in str(reason_in(repository))


def test_a_folder_outside_of_a_checkout_and_a_machine_without_git_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert reason_in(tmp_path) == "made outside of a checkout"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git does not run here" in str(reason_in(tmp_path))
