"""Records are valid by schema and by their own sums; what is wrong is named, and why."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sample_records as sample
from optional import needs_results

import devices
from bench.__main__ import main
from bench.records.record import SCHEMA, Metric, Record, provenance
from bench.records.store import StoreError, check_records, write_record
from bench.records.validate import SCHEMA_FILE, check_file
from bench.suite.emulation import mask_emulated, once
from bench.suite.scales import scale_named

REPOSITORY = Path(__file__).parents[2]


def this_machines_record() -> Record:
    made = provenance("smoke", devices.detect().to_json(), "closed")
    metrics = {
        "step": Metric.median([3.0, 1.0, 2.0], "second", "clock"),
        "test_accuracy": Metric.mean([0.5, 0.7], "share", "argmax"),
        "up_payload": Metric.single(42, "byte", "length"),
        "energy": Metric.unmeasured("joule", "no meter here"),
    }
    return Record(
        case="memory/cnn/zo/b1",
        group="memory",
        case_version=1,
        status="ok",
        config={"model": "cnn"},
        metrics=metrics,
        provenance=made,
    )


VALID = json.loads(json.dumps(this_machines_record().to_json()))
NAME = "memory-cnn-zo-b1.json"


def written(folder: Path, data: Any, name: str = NAME) -> Path:
    path = folder / name
    path.write_text(json.dumps(data))
    return path


def test_the_schema_is_one() -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads(SCHEMA_FILE.read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema"]["const"] == schema["$id"] == SCHEMA


def test_a_record_of_this_machine_is_valid(tmp_path: Path) -> None:
    found = check_file(written(tmp_path, VALID))
    assert found.problems == ()


@pytest.mark.slow
@needs_results
def test_every_committed_record_is_valid() -> None:
    found = check_records(REPOSITORY / "results")
    assert len(found) > 50
    assert {str(c.path): c.problems for c in found if c.problems} == {}


def test_a_record_of_a_different_schema_is_refused_with_both_names(tmp_path: Path) -> None:
    found = check_file(written(tmp_path, VALID | {"schema": "zobench-record/99"}))
    assert "zobench-record/99" in found.problems[0]
    assert SCHEMA in found.problems[0]


def put(*place: str | int, value: Any) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in place[:-1]:
            data = data[key]
        data[place[-1]] = value

    return change


def drop(*place: str) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in place[:-1]:
            data = data[key]
        del data[place[-1]]

    return change


STEP = ("metrics", "step")
ORIGIN = ("provenance",)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (drop("config"), "config"),
        (drop(*STEP, "unit"), "metrics.step"),
        (put("extra", value=1), "extra"),
        (put("status", value="fine"), "status"),
        (put("status", value="error"), "error"),
        (put("error", value="it broke"), "error"),
        (put("case_version", value=0), "case_version"),
        (put("group", value="time"), "group"),
        (put("config", "model", value="vit"), "config_hash"),
        (put(*STEP, "value", value=1.0), "metrics.step.value"),
        (put(*STEP, "value", value=None), "metrics.step.reason"),
        (put("metrics", "energy", "value", value=0), "metrics.energy"),
        (put("metrics", "energy", "reason", value=None), "metrics.energy.reason"),
        (put(*STEP, "samples", value=[1.0, 2.0]), "metrics.step.n"),
        (put(*STEP, "spread", value=[0.0, 3.0]), "metrics.step.spread"),
        (put(*STEP, "std", value=0.0), "metrics.step.std"),
        (put(*STEP, "statistic", value="mode"), "metrics.step.statistic"),
        (put(*ORIGIN, "commit", value="main"), "provenance.commit"),
        (put(*ORIGIN, "created", value="yesterday"), "provenance.created"),
        (put(*ORIGIN, "division", value="mine"), "provenance.division"),
        (put(*ORIGIN, "device", "name", value=""), "provenance.device.name"),
        (drop(*ORIGIN, "device", "versions"), "versions"),
        (put(*ORIGIN, "device", "libc_", value=None), "why libc_ is null"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(
    tmp_path: Path, change: Callable[[Any], None], expected: str
) -> None:
    data = copy.deepcopy(VALID)
    change(data)
    problems = check_file(written(tmp_path, data)).problems
    assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"schema": null}', '{"value": NaN}'])
def test_what_is_no_record_is_told_not_raised(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert check_file(path).problems[0].startswith("not a record: ")


def test_a_file_is_named_after_its_case(tmp_path: Path) -> None:
    (problem,) = check_file(written(tmp_path, VALID, name="other.json")).problems
    assert NAME in problem


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (put(*ORIGIN, "dirty", value=True), "uncommitted changes"),
        (put(*ORIGIN, "commit", value=None), "outside of a checkout"),
        (put(*ORIGIN, "division", value="open"), "open division"),
        (put(*ORIGIN, "device", "emulator", value="qemu-aarch64"), "emulated by qemu-aarch64"),
    ],
)
def test_what_a_reader_must_know_of_a_valid_record_is_remarked(
    tmp_path: Path, change: Callable[[Any], None], expected: str
) -> None:
    data = copy.deepcopy(VALID)
    change(data)
    found = check_file(written(tmp_path, data))
    assert found.problems == ()
    assert any(expected in remark for remark in found.remarks)


def test_nothing_to_check_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="contains no records"):
        check_records(tmp_path)


def test_the_command_ends_with_1_where_a_record_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, VALID)
    assert main(["check", str(path)]) == 0
    assert "1 of 1 records are valid" in capsys.readouterr().out
    path.write_text(json.dumps(VALID | {"status": "fine"}))
    assert main(["check", str(path), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert not found["valid"]
    assert main(["check", str(tmp_path / "nowhere")]) == 2


def test_a_remark_on_several_records_is_printed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    for batch in (1, 8):
        data = {**VALID, "case": f"memory/cnn/zo/b{batch}"}
        data["provenance"] = {**VALID["provenance"], "dirty": True}
        written(folder, data, f"memory-cnn-zo-b{batch}.json")
    assert main(["check", str(tmp_path)]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if "uncommitted" in line]
    assert len(notes) == 1
    assert "2 records" in notes[0]


def test_the_suites_own_records_are_valid(tmp_path: Path) -> None:
    """Samples of each group, with this machine's profile in place of theirs."""
    (tmp_path / "records").mkdir()
    for each in sample.sample_records():
        data = each.to_json() | {"provenance": VALID["provenance"]}
        write_record(tmp_path, Record.from_json(data))
    assert [c for c in check_records(tmp_path) if c.problems] == []


def test_an_emulated_machine_gives_bytes_and_accuracy_but_no_time_and_no_memory() -> None:
    metrics = {
        "peak": Metric.single(5, "byte", "VmHWM reset by clear_refs"),
        "tensor_peak": Metric.single(4, "byte", "sum of live tensor storage"),
        "up_payload": Metric.single(42, "byte", "length"),
        "step": Metric.median([1.0, 2.0, 3.0], "second", "clock"),
        "joules": Metric.single(1, "joule", "counter"),
        "test_accuracy": Metric.single(0.5, "share", "argmax"),
        "changed": Metric.single(0, "count", "bits compared"),
    }
    assert mask_emulated("memory", metrics, None) == metrics
    judged = mask_emulated("memory", metrics, "qemu-aarch64")
    gone = {name for name, metric in judged.items() if metric.value is None}
    assert gone == {"peak", "step", "joules"}
    assert all("qemu-aarch64" in (judged[name].reason or "") for name in gone)
    assert all(judged[name] == metrics[name] for name in metrics.keys() - gone)


def test_what_is_thrown_away_there_is_done_once() -> None:
    scale = once(scale_named("default"))
    assert {scale.memory_processes, scale.time_repeats, scale.engine_repeats} == {1}
    assert scale.memory_batches == scale.time_batches == (1,)
    assert scale.restore_cycles == scale_named("default").restore_cycles  # bits are kept


def test_the_page_on_records_describes_every_field() -> None:
    schema = json.loads(SCHEMA_FILE.read_text())
    page = (REPOSITORY / "docs" / "records.md").read_text()
    for part in (schema, *schema["$defs"].values()):
        for name, rule in part["properties"].items():
            ref = rule.get("$ref", "").split("/")[-1]
            about = rule.get("description") or schema["$defs"][ref]["description"]
            assert f"| `{name}` | {about} |" in page, name
