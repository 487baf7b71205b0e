"""Temporary folders that the next start removes where this process is killed."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_PREFIX = "zobench-task-"
_LOCK = "lock"
_YOUNG_S = 60.0  # a folder without a lock may be about to get one


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is removed at the end, or by `remove_left_overs` after a kill."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, _lock_file(name) as lock:
        _is_locked_here(lock)
        yield Path(name)


def remove_left_overs() -> None:
    """Remove the temporary folders of processes that were killed.

    The system lets go of a lock when its process ends, in whatever container that runs.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _lock_file(folder: str) -> IO[bytes]:
    return (Path(folder) / _LOCK).open("wb")


def _is_abandoned(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open("r+b") as lock:
            return _is_locked_here(lock)
    except FileNotFoundError:
        try:
            return time.time() - folder.stat().st_mtime > _YOUNG_S
        except OSError:
            return False
    except OSError:  # another user's
        return False


def _is_locked_here(lock: IO[bytes]) -> bool:
    """Take a file's lock; tell whether that worked. Without such locks nothing is ever taken."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
