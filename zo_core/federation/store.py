"""Where a run's records are kept: in memory, or in a file that survives a crash.

A file is a magic number and records, each a header (length, kind, CRC-32 of the two), its body, and
16 bytes of BLAKE2b over the record before, the kind and the body: no record can be lost from the
middle, moved or altered without being noticed.  A record is on disk when ``append`` returns.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from zo_core.blake import blake2b

_MAGIC = b"ZOLOG\x01\r\n"
_HEAD = struct.Struct("<IB")  # length of the body, kind
_CRC = struct.Struct("<I")
_CHAIN_BYTES = 16
_FRAME = _HEAD.size + _CRC.size  # bytes before a body

Entry = tuple[int, bytes]  # kind in [0, 256), body


class StoreError(OSError):
    """Records could not be written or must not be read; what was written before is intact."""


class Store(Protocol):
    """An append-only list of records that can be replaced as a whole."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> Entry:
        """Return a record."""

    def append(self, kind: int, body: bytes) -> None:
        """Add a record; it is kept when this returns."""

    def replace(self, entries: Iterable[Entry]) -> None:
        """Put other records in the place of all, at once."""


class MemoryStore:
    """Records that end with the process."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, index: int) -> Entry:
        """Return a record."""
        return self._entries[index]

    def append(self, kind: int, body: bytes) -> None:
        """Add a record."""
        self._entries.append((kind, body))

    def replace(self, entries: Iterable[Entry]) -> None:
        """Put other records in the place of all."""
        self._entries = list(entries)


class FileStore:
    """Records in one file; a torn tail, which only a crash leaves, is cut off when it is opened.

    Args:
        path: made where it is missing.

    Raises:
        StoreError: the file is damaged before its tail, not a log, or used by another process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = _locked(path.with_name(path.name + ".lock"))
        self._ends = [len(_MAGIC)]  # where each record ends, from the magic's on
        self._chain = b""
        self._failed: OSError | None = None
        self._file = self._opened()
        try:
            self.cut_bytes = self._cut_torn_tail()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._ends) - 1

    def read(self, index: int) -> Entry:
        """Return a record."""
        self._file.seek(self._ends[index])
        length, kind = _HEAD.unpack(self._file.read(_HEAD.size))
        self._file.seek(_CRC.size, os.SEEK_CUR)
        return kind, self._file.read(length)

    def append(self, kind: int, body: bytes) -> None:
        """Add a record and wait until the disk has it.

        Raises:
            StoreError: the disk is full or broken; the records before are intact, and no other will
                be taken.
        """
        if self._failed is not None:
            raise StoreError(f"{self._path} took no record since: {self._failed}")
        frame, chain = _frame(self._chain, kind, body)
        end = self._ends[-1]
        try:
            _write_all(self._file, end, frame)
        except OSError as error:
            self._failed = error
            with suppress(OSError):  # else the next start cuts it
                _cut(self._file, end)
            raise StoreError(
                f"{self._path} could not be written ({error}); the records before are intact: "
                "free some space and start again"
            ) from error
        self._chain = chain
        self._ends.append(end + len(frame))

    def replace(self, entries: Iterable[Entry]) -> None:
        """Write a new file and move it into place at once.

        Raises:
            StoreError: the disk is full or broken; the old file stands.
        """
        part = self._path.with_name(self._path.name + ".new")
        try:
            ends, chain = _write_file(part, entries)
            part.replace(self._path)
            _sync_folder(self._path.parent)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise StoreError(
                f"{self._path} could not be rewritten ({error}); the old one is intact: free some "
                "space and start again"
            ) from error
        self._file.close()
        self._file, self._ends, self._chain = self._path.open("r+b", buffering=0), ends, chain

    def close(self) -> None:
        """Let another process have the file."""
        self._file.close()
        self._lock.close()

    def _opened(self) -> BinaryIO:
        if not self._path.exists():
            _write_file(self._path, [])
            _sync_folder(self._path.parent)
        self._path.with_name(self._path.name + ".new").unlink(missing_ok=True)
        return self._path.open("r+b", buffering=0)

    def _cut_torn_tail(self) -> int:
        """Find the whole records and cut what follows; return how many bytes that was."""
        size = self._path.stat().st_size
        if self._file.read(len(_MAGIC)) != _MAGIC:
            raise StoreError(f"{self._path} is not a round log of this version; give another path")
        for frame_bytes, chain in _scan(self._file, size, self._path):
            self._ends.append(self._ends[-1] + frame_bytes)
            self._chain = chain
        torn = size - self._ends[-1]
        if torn:
            _cut(self._file, self._ends[-1])
        return torn


def _frame(chain: bytes, kind: int, body: bytes) -> tuple[bytes, bytes]:
    """A record's bytes, and the hash that the next one is chained to."""
    head = _HEAD.pack(len(body), kind)
    after = blake2b(chain + head + body, digest_size=_CHAIN_BYTES).digest()
    return b"".join((head, _CRC.pack(zlib.crc32(head)), body, after)), after


def _scan(file: BinaryIO, size: int, path: Path) -> Iterator[tuple[int, bytes]]:
    """Whole records from the magic on: length in the file and chain; ends before a torn tail."""
    chain, at = b"", len(_MAGIC)
    while size - at >= _FRAME:
        head, crc = file.read(_HEAD.size), file.read(_CRC.size)
        length, kind = _HEAD.unpack(head)
        end = at + _FRAME + length + _CHAIN_BYTES
        if _CRC.pack(zlib.crc32(head)) != crc:
            if not any(head + crc + file.read()):  # the file had grown, its data had not arrived
                return
            raise _damaged(path, at)
        if end > size:
            return
        frame, after = _frame(chain, kind, file.read(length))
        if file.read(_CHAIN_BYTES) != after:
            if end == size:
                return
            raise _damaged(path, at)
        yield len(frame), after
        chain, at = after, end


def _damaged(path: Path, at: int) -> StoreError:
    return StoreError(
        f"{path} is damaged at byte {at}, before its tail; restore a copy, or start a new run "
        "elsewhere"
    )


def _write_file(path: Path, entries: Iterable[Entry]) -> tuple[list[int], bytes]:
    ends, chain = [len(_MAGIC)], b""
    with path.open("wb") as file:
        file.write(_MAGIC)
        for kind, body in entries:
            frame, chain = _frame(chain, kind, body)
            file.write(frame)
            ends.append(ends[-1] + len(frame))
        file.flush()
        os.fsync(file.fileno())
    return ends, chain


def _write_all(file: BinaryIO, at: int, data: bytes) -> None:
    file.seek(at)
    rest = memoryview(data)
    while rest:  # an unbuffered write may take a part
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def _cut(file: BinaryIO, end: int) -> None:
    file.truncate(end)
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked(path: Path) -> BinaryIO:
    """Open a file that one process has at a time; the system lets go of it when that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("wb")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # no such locks on this system
        pass
    except OSError as error:
        file.close()
        raise StoreError(
            f"{path} is in use by another process; is the run served twice?"
        ) from error
    return file
