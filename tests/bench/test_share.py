"""A shared file unpacks into a folder that the suite reads, and never has a broken record."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import sample_records as sample

from bench.__main__ import main
from bench.records.store import read_records


def test_what_is_packed_is_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = sample.write(tmp_path / "run", sample.bytes_records())
    assert main(["share", str(folder)]) == 0
    said = capsys.readouterr().out
    file = tmp_path / said.splitlines()[0]
    zipfile.ZipFile(file).extractall(tmp_path / "results")
    (unpacked,) = (tmp_path / "results").glob("*/*")
    assert read_records(unpacked) == read_records(folder)
    assert f"results/{unpacked.relative_to(tmp_path / 'results')}" in said
    assert "Sample" in said or "sample" in said  # the host name, which the sender must know of


def test_the_same_records_give_the_same_file(tmp_path: Path) -> None:
    folder = sample.write(tmp_path / "run", sample.bytes_records())
    files = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for file in files:
        assert main(["share", str(folder), "--out", str(file)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_broken_record_is_not_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sample.write(tmp_path / "run", sample.bytes_records())
    (folder / "records" / "broken.json").write_text("{}")
    assert main(["share", str(folder), "--out", str(tmp_path / "a.zip")]) == 2
    assert "broken.json" in capsys.readouterr().err
    assert not (tmp_path / "a.zip").exists()
