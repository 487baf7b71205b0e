"""Records on disk: one JSON file a case, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.records.case_name import CaseName
from bench.records.record import Record
from bench.records.validate import Checked, check_file

RECORDS = "records"


class StoreError(OSError):
    """The output folder cannot be used."""


def open_store(folder: Path) -> Path:
    """Create an output folder and make sure that it can be written to.

    Raises:
        StoreError: it cannot; nothing is left behind.
    """
    try:
        (folder / RECORDS).mkdir(parents=True, exist_ok=True)
        _remove_left_overs(folder / RECORDS)
        with tempfile.NamedTemporaryFile(dir=folder / RECORDS):
            pass
    except OSError as error:
        raise StoreError(
            f"output folder {folder} cannot be written ({error.strerror}); choose another by --out"
        ) from error
    return folder


def write_record(folder: Path, record: Record) -> Path:
    """Write a record under a temporary name and rename it, so that no half file ever shows.

    Raises:
        StoreError: it cannot be written; the message says what is safe.
    """
    path = record_path(folder, record.name)
    try:
        with replacing(path) as temporary:
            temporary.write_text(layout(record.to_json()))
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}); the records that are in {folder} are "
            "intact: free some space and run the same command again"
        ) from error
    return path


def record_path(folder: Path, case: CaseName) -> Path:
    """Return where a folder has a case's record, whether the file exists or not."""
    return folder / RECORDS / case.file_name


def read_records(folder: Path) -> list[Record]:
    """Read all records of an output folder, in the order of their names.

    Raises:
        StoreError: there is none, or a file is not valid as `zobench check` has it; the message
            names it.
    """
    paths = sorted((folder / RECORDS).glob("*.json"))
    if not paths:
        raise StoreError(f"{folder} contains no records; run `zobench run --out {folder}` first")
    return [read_record(path) for path in paths]


def check_records(path: Path) -> list[Checked]:
    """Check a record, or all records below a folder.

    Raises:
        StoreError: there is nothing to check.
    """
    if path.is_file():
        return [check_file(path)]
    files = sorted(path.glob(f"**/{RECORDS}/*.json"))
    if not files:
        raise StoreError(f"{path} contains no records: give a file, or a folder above {RECORDS}/")
    return [check_file(file) for file in files]


def layout(data: Mapping[str, Any], levels: int = 2) -> str:
    """Write JSON in few bytes, with a line for each member of the outermost levels.

    >>> print(layout({"a": {"b": [1, 2]}, "c": 1.5}), end="")
    {
    "a":{
    "b":[1,2]
    },
    "c":1.5
    }
    """
    return _lines(data, levels) + "\n"


def _lines(data: Any, levels: int) -> str:
    if levels == 0 or not data or not isinstance(data, Mapping):
        return json.dumps(data, separators=(",", ":"), allow_nan=False)
    members = (f"{json.dumps(key)}:{_lines(part, levels - 1)}" for key, part in data.items())
    return "{\n" + ",\n".join(members) + "\n}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside path, and put it in path's place when the context ends well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_left_overs(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote."""
    import psutil

    for path in folder.glob(".*.tmp"):
        pid = path.name.split(".")[-2]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            path.unlink(missing_ok=True)


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        StoreError: the file is not valid as `zobench check` has it; the message names it.
    """
    if problems := check_file(path).problems:
        raise StoreError(f"{path} is not a valid record: {problems[0]}; see `zobench check {path}`")
    try:
        return Record.from_json(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is not a record of this suite: {error}") from error
