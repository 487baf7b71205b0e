from __future__ import annotations

import json
from pathlib import Path

import pytest
from sample_records import DEVICE

from bench.records.record import Metric, Provenance, Record, source_commit
from bench.records.store import StoreError, open_store, read_records, replacing, write_record


def make_record(case: str = "memory/cnn/zo/b1") -> Record:
    return Record(
        case=case,
        group="memory",
        case_version=1,
        status="ok",
        config={"model": "cnn", "batch": 1},
        metrics={
            "peak": Metric.median([3.0, 1.0, 2.0], "byte", "VmHWM"),
            "joules": Metric.unmeasured("joule", "no counter here"),
        },
        provenance=Provenance(
            suite_version="0",
            commit=None,
            dirty=None,
            scale="smoke",
            created="2026-01-01T00:00:00+00:00",
            device=DEVICE,
        ),
    )


def test_a_record_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    write_record(open_store(tmp_path / "out"), make_record())
    assert read_records(tmp_path / "out") == [make_record()]


def test_a_metric_carries_its_n_and_spread() -> None:
    metric = Metric.median([3.0, 1.0, 2.0], "byte", "VmHWM")
    assert (metric.value, metric.n, metric.spread) == (2.0, 3, (1.0, 3.0))
    assert Metric.mean([1.0, 3.0], "share", "argmax").std == pytest.approx(2**0.5)
    assert Metric.single(5, "byte", "len").spread is None


def test_what_is_not_measured_is_null_with_a_reason_never_zero() -> None:
    metric = json.loads(json.dumps(make_record().to_json()))["metrics"]["joules"]
    assert metric["value"] is None
    assert metric["reason"] == "no counter here"


def test_the_config_hash_does_not_depend_on_key_order_but_on_values() -> None:
    one = make_record()
    other = Record(**{**_fields(one), "config": {"batch": 1, "model": "cnn"}})
    third = Record(**{**_fields(one), "config": {"batch": 2, "model": "cnn"}})
    assert one.config_hash == other.config_hash != third.config_hash


def test_nan_never_reaches_a_record_file(tmp_path: Path) -> None:
    bad = Record(
        **{
            **_fields(make_record()),
            "metrics": {"x": Metric(value=float("nan"), unit="s", method="m")},
        }
    )
    folder = open_store(tmp_path / "out")
    with pytest.raises(ValueError, match="JSON"):
        write_record(folder, bad)
    assert list((folder / "records").iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError):
        write_half_of(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def write_half_of(target: Path) -> None:
    with replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError


def test_an_output_folder_that_is_a_file_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--out"):
        open_store(tmp_path / "file" / "out")


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "5", "null", "{}"),
        *('{"schema": "other"}', '{"schema": "zobench-record/1"}'),
        '{"schema": "zobench-record/1", "provenance": []}',
        '{"schema": "zobench-record/2", "provenance": {}}',
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    open_store(tmp_path)
    (tmp_path / "records" / "bad.json").write_text(text)
    with pytest.raises(StoreError, match=r"bad\.json is not a valid record"):
        read_records(tmp_path)


def test_metrics_that_are_no_object_are_named_with_their_file(tmp_path: Path) -> None:
    path = write_record(open_store(tmp_path), make_record())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": []}))
    with pytest.raises(StoreError, match=f"{path.name} is not a valid record"):
        read_records(tmp_path)


def test_an_empty_folder_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no records"):
        read_records(tmp_path)


def _fields(record: Record) -> dict[str, object]:
    return {name: getattr(record, name) for name in Record.__dataclass_fields__}


def test_outside_of_a_checkout_the_environment_names_the_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_git(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr("bench.records.record._git", no_git)
    assert source_commit.__wrapped__() == (None, None)
    monkeypatch.setenv("ZOBENCH_COMMIT", "a" * 40)
    assert source_commit.__wrapped__() == ("a" * 40, None)
