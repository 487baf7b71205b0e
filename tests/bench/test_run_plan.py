"""``zobench run --list`` and ``--dry-run``: what would run and for how long."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.groups import GROUPS, OPT_IN_GROUPS, SUMMARIES
from bench.suite.estimate import estimate


def write_records(folder: Path, scale: str, times: dict[str, str]) -> None:
    records = folder / "records"
    records.mkdir(parents=True)
    for case, created in times.items():
        made = {"group": case.partition("-")[0]}
        made |= {"provenance": {"scale": scale, "created": f"2026-01-02T{created}+00:00"}}
        (records / f"{case}.json").write_text(json.dumps(made))


def test_the_estimate_is_that_of_the_last_run_at_the_scale(tmp_path: Path) -> None:
    times = {"memory-a": "10:00:30", "memory-b": "10:01:00", "time-a": "10:01:05"}
    write_records(tmp_path / "2026-01-02T100000Z", "default", times)
    write_records(tmp_path / "2026-01-02T110000Z", "smoke", {"memory-a": "11:00:09"})
    found = estimate("default", tmp_path)
    assert found.seconds == {"memory": 60.0, "time": 5.0}
    assert "2026-01-02T100000Z" in found.basis
    assert estimate("smoke", tmp_path).seconds == {"memory": 9.0}


def test_a_pause_is_not_counted(tmp_path: Path) -> None:
    times = {"memory-a": "10:00:30", "time-a": "15:00:00", "time-b": "15:00:02"}
    write_records(tmp_path / "mine", "default", times)
    assert estimate("default", tmp_path).seconds == {"time": 2.0}


def test_without_an_earlier_run_the_estimate_is_the_reference_machines(tmp_path: Path) -> None:
    found = estimate("default", tmp_path)
    assert found.seconds.keys() == set(GROUPS)
    assert estimate("paper", tmp_path).seconds == {}


def test_every_group_has_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert SUMMARIES.keys() == {*GROUPS, *OPT_IN_GROUPS}
    assert main(["run", "--list"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in (*SUMMARIES, "table2", "search"))


@pytest.mark.process
def test_a_dry_run_lists_the_cases_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--dry-run", "--only", "bytes,formulas", "--json"]) == 0
    plan = json.loads(capfd.readouterr().out)
    assert list(plan["cases"]) == ["bytes", "formulas"]
    assert all(plan["cases"].values())
    assert plan["seconds"].keys() == plan["cases"].keys()
    assert main(["run", "--dry-run", "--only", "nonsense"]) == 2
    assert "nonsense" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
