"""Precision, scalar noise and device of a run: passed to every case, recorded, shown, compared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sample_records as sample
import torch

import devices
from bench.cases import bench_accuracy, bench_engine, bench_frontier, bench_memory, bench_time
from bench.compare.compare import compare
from bench.records.details.arithmetic import ScalarNoise
from bench.records.details.machine import MemoryDetails
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.store import read_records
from bench.records.typed_json import to_json
from bench.report.measured_on import heading_remark
from bench.report.sections import SECTIONS
from bench.report.step_terms import arithmetic_tables, time_arithmetic_tables
from bench.suite.suite import Suite
from bench.workloads import steps
from bench.workloads.scalar_noise import measure_noise
from devices.child_exit import IsolatedResult
from zo_core.config import PRECISIONS
from zo_core.loss.precision import _current_switches

NOISE = ScalarNoise(
    precision="tf32", directions=2, repeat_difference=0.0, relative_rms=0.013, scale=0.5, items=16
)


def suite_on(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Suite:
    """Start a run on a GPU that is not there."""
    monkeypatch.setattr("bench.suite.suite.choose_device", lambda wanted: wanted)
    monkeypatch.setattr("bench.suite.suite.scalar_noise_of", lambda *what: NOISE)
    fields = {"scale": "smoke", "only": "memory", "device": "cuda", "precision": "tf32"}
    return Suite.from_options(**(fields | changes), out=str(folder))


@dataclass
class Children:
    """Stands for devices.run_isolated: notes what each child is told, and fails it."""

    told: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)

    def __call__(self, function: str, *arguments: Any, **named: Any) -> IsolatedResult:
        self.told.append((function.partition(":")[2], arguments, named))
        names = IsolatedResult.__dataclass_fields__
        return IsolatedResult(
            **{**dict.fromkeys(names), "status": "error", "error": "no GPU here", "seconds": 1.0}
        )

    def words_of(self, function: str) -> list[list[Any]]:
        """Return all arguments of a function's calls."""
        return [
            [*arguments, *named.values()]
            for name, arguments, named in self.told
            if name == function
        ]


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    found = Children()
    monkeypatch.setattr(devices, "run_isolated", found)
    return found


@pytest.mark.parametrize(
    ("act", "functions", "precise"),
    [
        (
            lambda suite: bench_memory.test_step_memory(suite, "cnn", 2, None),
            ("measure_step_memory", "measure_tensor_peaks"),
            True,
        ),
        (
            lambda suite: bench_accuracy.test_accuracy(suite, "10/90", "zowarmup"),
            ("train",),
            True,
        ),
        (bench_accuracy.test_further_methods, ("train",), True),
        (bench_frontier.test_frontier, ("measure_variants",), True),
        (lambda suite: bench_engine.test_step_share(suite, 1), ("time_step_share",), False),
        (lambda suite: bench_engine.test_simulation(suite, "cnn"), ("time_simulation",), False),
        (
            lambda suite: bench_engine.test_exact_restore(suite, "cnn"),
            ("count_changed_bits",),
            False,
        ),
    ],
)
def test_every_case_runs_where_the_device_option_says(
    act: Any,
    functions: tuple[str, ...],
    precise: bool,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    children: Children,
) -> None:
    act(suite_on(tmp_path, monkeypatch))
    for function in functions:
        calls = children.words_of(function)
        assert calls
        for words in calls:
            assert "cuda" in words
            assert not precise or "'tf32'" in repr(words)
    records = read_records(tmp_path)
    assert records
    failed = {"cuda"} if "measure_variants" not in functions else {None}
    assert {record.config.get("device") for record in records} == failed


def test_a_time_is_taken_on_the_device_in_the_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    class Benchmark:
        stats = SimpleNamespace(stats=SimpleNamespace(data=(1.0, 1.0, 1.0)))

        def pedantic(self, step: Any, *, rounds: int, iterations: int) -> None:
            step()

    def make(*words: Any) -> Any:
        told.append(words)
        return lambda: None

    monkeypatch.setattr(bench_time, "make_step", make)
    monkeypatch.setattr(bench_time, "repeats_of", lambda step, least: 3)
    monkeypatch.setattr(
        bench_time, "step_energy", lambda step, step_s: sample.Metric.single(1.0, "joule", "NVML")
    )
    suite = suite_on(tmp_path, monkeypatch)
    bench_time.test_step_time(suite, Benchmark(), "cnn", "zo", 4)
    assert told == [("cnn", "zo", 4, "cuda", "tf32")]
    (record,) = read_records(tmp_path)
    assert (record.config["precision"], record.case_version) == ("tf32", 3)
    assert record.details["scalar_noise"] == to_json(NOISE)
    assert record.provenance.division == "open"


def test_a_precision_that_does_not_exist_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="fp32, tf32, fp16, bf16, got 'fp8'"):
        suite_on(tmp_path, monkeypatch, precision="fp8")


@pytest.mark.skipif(not _current_switches("ieee"), reason="torch has the older switches only")
@pytest.mark.parametrize("method", ["zo", "fedavg"])
def test_a_measured_step_does_not_inherit_the_process_settings(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN torch's own default, TF32 in convolutions, THEN a step in fp32 has it off."""
    seen = []

    def bound(*_: Any, **__: Any) -> Any:
        return lambda: seen.append(
            (torch.backends.cudnn.conv.fp32_precision, torch.is_autocast_enabled("cpu"))
        )

    monkeypatch.setattr(steps, "bind_step", bound)
    for precision in PRECISIONS:
        steps.make_step("cnn", method, 2, "cpu", precision)()
    forwards = method == "zo"
    assert seen == [("ieee", False), ("tf32", False), ("tf32", forwards), ("tf32", forwards)]


def test_the_noise_of_every_precision_is_measured_and_none_is_refused() -> None:
    found = {name: measure_noise("cnn", "cpu", name) for name in ("fp32", "bf16")}
    assert (found["fp32"].relative_rms or 1.0) < 1e-2 < (found["bf16"].relative_rms or 0.0)
    assert found["bf16"].items == 16
    assert to_json(found["bf16"]).keys() == to_json(NOISE).keys()  # the record's fields


def with_noise(precision: str) -> list[Record]:
    noise = to_json(replace(NOISE, precision=precision))
    return [
        replace(
            record,
            config={**record.config, "precision": precision},
            details={**record.details, "scalar_noise": noise},
        )
        for record in sample.memory_records()
    ]


def test_a_comparison_refuses_to_mix_precisions_and_takes_old_records() -> None:
    with pytest.raises(ValueError, match="precision 'fp32' against 'tf32'"):
        compare(with_noise("fp32"), with_noise("tf32"))
    assert compare(sample.memory_records(), with_noise("fp32")).passes


def test_the_page_states_precision_and_noise() -> None:
    results = Results.of(with_noise("tf32"))
    (table,) = arithmetic_tables(results)
    assert [cell.text for cell in table.rows[0]][1:] == ["tf32", "1.30 %", "same bits", "2", "16"]
    assert len(table.rows) == len(sample.PARAMETERS)  # one of each model
    memory = next(section for section in SECTIONS if section.group == "memory")
    assert heading_remark(results, memory) == "tf32"
    assert time_arithmetic_tables(results) == []


def test_an_old_record_has_no_noise_and_is_read() -> None:
    results = Results.of(sample.memory_records())
    assert arithmetic_tables(results) == []
    details = sample.memory_records()[0].details_as(MemoryDetails)
    assert details is not None
    assert details.scalar_noise is None
