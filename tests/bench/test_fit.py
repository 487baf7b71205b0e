from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from bench.__main__ import main
from bench.boards import BOARDS, Verdict
from bench.fit import measuring as fit
from bench.fit.cells import Cell, agreement
from bench.fit.measuring import predict_cells, try_cell
from bench.fit.prediction import predict_tensors
from bench.fit.record import fit_record
from bench.fit.target import Target, decimal_remark, find_target, this_machine
from bench.records.case_name import CaseName
from bench.records.details.machine import FitTrial
from bench.records.record import Record
from bench.records.store import read_records
from bench.records.typed_json import to_json
from bench.sizes import parse_size
from bench.workloads.steps import STEP_METHODS, measure_tensor_peaks
from devices.cgroup import Group
from devices.tensor_peak import TensorPeak

MIB = 2**20
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces the limit")


def cell(predicted: int, limit: int, status: str | None) -> Cell:
    trial = None
    if status is not None:
        trial = FitTrial(
            status=status,
            phase="forward",
            error=None,
            limit_method=None,
            enforced_bytes=limit,
            peak_bytes=None,
            resident_bytes=None,
            seconds=1,
        )
    return Cell(
        device="a",
        limit_bytes=limit,
        reserve_bytes=0,
        model="cnn",
        method="zo",
        batch=1,
        images=None,
        tensors_bytes=predicted - 10,
        formula_bytes=5,
        how="fake tensors",
        runtime_bytes=10,
        uncounted_bytes=4,
        trial=trial,
    )


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("512MB", 512 * 10**6),
        ("512MiB", 512 * MIB),
        ("1GiB", 1024 * MIB),
        ("1.5 gb", 1_500_000_000),
        ("pi-zero-2", (512 - 150) * MIB),
        ("pi-4-4gb", (4096 - 150) * MIB),
    ],
)
def test_a_device_is_a_name_or_a_size(text: str, limit: int) -> None:
    assert find_target(text).limit_bytes == limit


@pytest.mark.parametrize("text", ["toaster", "0MB", "-1GB", "1TB", "MB", "", "1e9", "512", "4096"])
def test_what_is_neither_lists_the_known_devices(text: str) -> None:
    with pytest.raises(ValueError, match="pi-zero-2"):
        find_target(text)


def test_a_size_without_unit_is_refused_with_the_unit_to_add() -> None:
    with pytest.raises(ValueError, match="a size needs a unit: 512MiB"):
        find_target("512")
    with pytest.raises(ValueError, match="--reserve must be a size with a unit"):
        parse_size("150", "--reserve")


def test_a_decimal_size_is_also_named_in_mib() -> None:
    assert decimal_remark("512MB") == "512MB is 488 MiB"
    assert [decimal_remark(text) for text in ("512MiB", "pi-zero-2")] == [None, None]


def test_the_report_reserves_what_the_catalogue_does() -> None:
    for board, name in zip(BOARDS, ("pi-zero-2", "pi-4-1gb", "pi-4-4gb"), strict=True):
        target = find_target(name)
        assert (target.memory_bytes, target.reserve_bytes) == (
            board.memory_bytes,
            board.reserve_bytes,
        )


def test_the_operating_system_keeps_its_reserve() -> None:
    assert find_target("pi-zero-2", 0).limit_bytes == 512 * MIB
    assert find_target("512MiB", 100 * MIB).limit_bytes == 412 * MIB
    with pytest.raises(ValueError, match="--reserve must be less than"):
        find_target("512MiB", 512 * MIB)


@pytest.mark.parametrize(
    ("predicted", "verdict"),
    [(90, Verdict.FITS), (91, Verdict.TIGHT), (100, Verdict.TIGHT), (101, Verdict.DOES_NOT_FIT)],
)
def test_the_verdict_has_three_steps(predicted: int, verdict: Verdict) -> None:
    assert cell(predicted, 100, None).verdict is verdict


def test_the_verdict_is_by_resident_memory_and_the_limit_is_set_to_match() -> None:
    """A group does not count 4 bytes of it, so it must stop the process 4 bytes earlier."""
    (step,) = [cell(102 * MIB, 100 * MIB, None)]
    step = replace(step, uncounted_bytes=4 * MIB)
    assert step.counted_bytes == 98 * MIB
    assert step.verdict is Verdict.DOES_NOT_FIT
    assert step.enforced_bytes == 96 * MIB
    assert replace(step, uncounted_bytes=None).enforced_bytes == 100 * MIB


@pytest.mark.parametrize("model", ["small_resnet", "cnn"])
def test_predictions_grow_with_the_batch_and_backprop_needs_the_most(model: str) -> None:
    steps = predict_tensors(model, STEP_METHODS, [1, 2, 16, 64], None)
    by_method = {m: [s.bytes for s in steps if s.method == m] for m in STEP_METHODS}
    assert {step.how for step in steps} == {"fake tensors"}
    for predicted in by_method.values():
        assert all(small < large for small, large in pairwise(predicted))
    assert by_method["zo"] == by_method["inference"]
    # at batch 1 the copies that a convolution makes may be more than what backprop keeps
    assert by_method["fedavg"][-1] > by_method["zo"][-1]


def tracked(model: str, method: str, batch: int) -> TensorPeak:
    peak = measure_tensor_peaks(model, [method], batch)[method]
    assert isinstance(peak, TensorPeak)
    return peak


@pytest.mark.parametrize("method", STEP_METHODS)
def test_a_prediction_without_memory_meets_the_count_with_it(method: str) -> None:
    (step,) = predict_tensors("small_resnet", [method], [16], None)
    counted = tracked("small_resnet", method, 16).peak_bytes
    assert counted <= step.bytes <= 1.5 * counted


def test_attention_is_counted_as_the_cpu_computes_it() -> None:
    """The meta device takes another path, which keeps every attention matrix: 16 % more here."""
    (step,) = predict_tensors("vit", ["fedavg"], [16], None)
    counted = tracked("vit", "fedavg", 16).peak_bytes
    assert step.bytes == pytest.approx(counted, rel=0.01)


def test_a_whole_set_costs_its_images_and_no_more_activations() -> None:
    (batch,) = predict_tensors("cnn", ["zo"], [8], None)
    (whole,) = predict_tensors("cnn", ["zo"], [8], 80)
    assert whole.bytes - batch.bytes == 72 * (64 * 4 + 8)


def test_agreement_counts_what_a_trial_told() -> None:
    cells = [
        cell(90, 100, "ok"),
        cell(120, 100, "does not fit"),
        cell(140, 100, "ok"),
        cell(90, 100, "does not fit"),
        cell(90, 100, "timeout"),
        cell(90, 100, None),
    ]
    found = agreement(cells)
    assert (found.cells, found.agreeing, found.share) == (4, 2, 0.5)
    assert (found.near_cells, found.near_agreeing) == (3, 2)
    assert found.disagreeing == (cells[2], cells[3])
    assert agreement(cells[5:]).share is None


def test_a_record_of_untried_cells_has_no_share_and_a_reason() -> None:
    record = fit_record(CaseName.of("fit", "a"), [cell(90, 100, None)], {})
    assert record.metrics["agreement"].value is None
    assert record.metrics["agreement"].reason
    assert Record.from_json(json.loads(json.dumps(record.to_json()))).case == "fit/a"


@pytest.fixture
def predicting_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predict in this process, which has torch loaded; what is measured stays in fresh ones."""
    in_child = fit._run

    def run(function: str, *arguments: Any, limit_bytes: int | None = None) -> Any:
        if function == "predict_tensors":
            return SimpleNamespace(value=to_json(predict_tensors(*arguments)))
        return in_child(function, *arguments, limit_bytes=limit_bytes)

    monkeypatch.setattr(fit, "_run", run)


@pytest.mark.slow
@pytest.mark.process
@LINUX
@pytest.mark.usefixtures("predicting_here")
def test_under_a_limit_between_them_zo_completes_and_backprop_does_not() -> None:
    cells = predict_cells([Target(name="none", memory_bytes=1 << 40)], "small_resnet", *_BOTH)
    needed = {each.method: each.predicted_bytes for each in cells}
    assert needed["fedavg"] > needed["zo"] + 100 * MIB
    limit = (needed["fedavg"] + needed["zo"]) // 2
    tried = {each.method: try_cell(replace(each, limit_bytes=limit)) for each in cells}
    assert tried["zo"].fits, tried["zo"]
    assert tried["zo"].phase == "done"
    assert tried["zo"].resident_bytes == pytest.approx(needed["zo"], rel=0.05)
    assert tried["fedavg"].fits is False
    assert tried["fedavg"].phase in ("forward", "backward")


_BOTH: Any = (("zo", "fedavg"), (384,))


@pytest.mark.process
@pytest.mark.usefixtures("predicting_here")
def test_the_command_prints_json_and_stores_its_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--device", "1GiB", "--model", "cnn", "--batches", "1,8", "--out", str(tmp_path)]
    assert main(["fit", *words, "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)
    assert [(c["batch"], c["method"]) for c in cells[:3]] == [(1, m) for m in STEP_METHODS]
    assert all(c["verdict"] == "fits" and c["trial"] is None for c in cells)
    assert all(c["counted_bytes"] <= c["predicted_bytes"] for c in cells)
    (record,) = read_records(tmp_path)
    assert record.case == "fit/1GiB/cnn"


def test_the_default_device_is_this_machine_or_its_lower_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("devices.group_limits.own_group", lambda *_: None)
    whole = this_machine()
    assert whole.memory_bytes == psutil.virtual_memory().total
    assert 0 < whole.reserve_bytes < whole.memory_bytes
    assert this_machine(0).limit_bytes == whole.memory_bytes
    (tmp_path / "memory.current").write_text(str(100 * MIB))
    for text, limit in (("max", whole.memory_bytes), (str(900 * MIB), 900 * MIB)):
        (tmp_path / "memory.max").write_text(text)
        group = Group(path=tmp_path, version="cgroup v2")
        monkeypatch.setattr("devices.group_limits.own_group", lambda *_, group=group: group)
        assert this_machine().memory_bytes == limit
    assert this_machine().reserve_bytes == 100 * MIB


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--device", "toaster"], "pi-zero-2"),
        (["--device", "512"], "512MiB"),
        (["--device", "1GiB", "--reserve", "2GiB"], "--reserve"),
        (["--device", "1GiB", "--model", "nonsense"], "resnet18, vit, cnn"),
        (["--device", "1GiB", "--batches", "0,8"], "--batches"),
        (["--device", "1GiB", "--images", "0"], "--images"),
        (["--device", "1GiB", "--input-shape", "3,8,8"], "add --model"),
        (["--grid", "--device", "1GiB"], "--device has no effect with --grid"),
        (["--grid", "--reserve", "1GiB"], "--reserve has no effect with --grid"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *words]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
