"""The round log's file: nothing that was appended is lost, nothing that was not is believed."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zo_core.federation import store as store_module
from zo_core.federation.store import FileStore, MemoryStore, StoreError

OpenStore = Callable[[Path], FileStore]
RECORDS = [(1, b"meta"), (3, bytes(range(256))), (4, b""), (4, b"one"), (255, b"\x00" * 40)]


def entries(store: FileStore | MemoryStore) -> list[tuple[int, bytes]]:
    return [store.read(index) for index in range(len(store))]


def written(path: Path, file_store: OpenStore) -> bytes:
    store = file_store(path)
    for record in RECORDS:
        store.append(*record)
    store.close()
    return path.read_bytes()


def test_what_is_appended_is_read_back_by_the_next_process(
    tmp_path: Path, file_store: OpenStore
) -> None:
    written(tmp_path / "log", file_store)
    store = file_store(tmp_path / "log")
    assert entries(store) == RECORDS
    assert store.cut_bytes == 0
    store.append(4, b"more")
    assert entries(store) == [*RECORDS, (4, b"more")]


def test_a_file_cut_anywhere_holds_its_whole_records(tmp_path: Path, file_store: OpenStore) -> None:
    whole = written(tmp_path / "log", file_store)
    ends = [8]
    for _, body in RECORDS:
        ends.append(ends[-1] + 9 + len(body) + 16)
    for size in {*range(8, len(whole) + 1, 11), *ends, *(end - 1 for end in ends[1:])}:
        path = tmp_path / f"cut-{size}"
        path.write_bytes(whole[:size])
        store = file_store(path)
        kept = sum(end <= size for end in ends) - 1
        assert entries(store) == RECORDS[:kept]
        assert path.stat().st_size == ends[kept]
        store.append(9, b"next")
        assert entries(store) == [*RECORDS[:kept], (9, b"next")]
        store.close()


def test_a_tail_of_zeros_is_a_torn_tail(tmp_path: Path, file_store: OpenStore) -> None:
    whole = written(tmp_path / "log", file_store)
    (tmp_path / "log").write_bytes(whole + bytes(500))
    store = file_store(tmp_path / "log")
    assert entries(store) == RECORDS
    assert store.cut_bytes == 500


def test_no_bit_before_the_last_record_can_flip_unnoticed(
    tmp_path: Path, file_store: OpenStore
) -> None:
    whole = bytearray(written(tmp_path / "log", file_store))
    last = len(whole) - (9 + 40 + 16)
    for at in random.Random(1).sample(range(last), 120):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        (tmp_path / "log").write_bytes(flipped)
        with pytest.raises(StoreError, match=r"damaged at byte|not a round log"):
            file_store(tmp_path / "log")


def test_records_cannot_change_places(tmp_path: Path, file_store: OpenStore) -> None:
    store = file_store(tmp_path / "log")
    for body in (b"a", b"b", b"c"):
        store.append(4, body)
    store.close()
    whole, each = (tmp_path / "log").read_bytes(), 9 + 1 + 16
    a, b, c = (whole[8 + i * each : 8 + (i + 1) * each] for i in range(3))
    (tmp_path / "log").write_bytes(whole[:8] + b + a + c)
    with pytest.raises(StoreError, match="damaged at byte 8"):
        file_store(tmp_path / "log")


def test_replacing_is_all_or_nothing(
    tmp_path: Path, file_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "log", file_store)
    store = file_store(tmp_path / "log")
    with monkeypatch.context() as patch:
        patch.setattr(
            store_module.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full"))
        )
        with pytest.raises(StoreError, match="the old one is intact"):
            store.replace([(1, b"new")])
    assert entries(store) == RECORDS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.lock"]
    store.replace([(1, b"new"), (3, b"snapshot")])
    store.append(4, b"result")
    store.close()
    assert entries(file_store(tmp_path / "log")) == [(1, b"new"), (3, b"snapshot"), (4, b"result")]


def test_an_append_is_on_disk_when_it_returns(
    tmp_path: Path, file_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, synced, sync = file_store(tmp_path / "log"), [], os.fsync
    monkeypatch.setattr(store_module.os, "fsync", lambda fd: (synced.append(fd), sync(fd))[1])
    store.append(4, b"result")
    assert len(synced) == 1


@pytest.mark.process
def test_no_second_process_takes_the_same_file(tmp_path: Path, file_store: OpenStore) -> None:
    file_store(tmp_path / "log")
    code = (
        "import sys; from pathlib import Path; from zo_core.federation.store import FileStore\n"
        "FileStore(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "in use by another process; is the run served twice?" in done.stderr


def test_a_full_disk_takes_no_part_of_a_record(
    tmp_path: Path, file_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(tmp_path / "log", file_store)
    store = file_store(tmp_path / "log")

    def half(file: object, at: int, data: bytes) -> None:
        file.seek(at)  # type: ignore[attr-defined]
        file.write(data[: len(data) // 2])  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, "_write_all", half)
    with pytest.raises(StoreError, match="No space left on device"):
        store.append(4, b"x" * 100)
    assert (tmp_path / "log").read_bytes() == whole


def test_another_file_is_no_log(tmp_path: Path, file_store: OpenStore) -> None:
    (tmp_path / "log").write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(StoreError, match="not a round log of this version; give another path"):
        file_store(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b"PK\x03\x04 something else"
