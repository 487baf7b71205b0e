"""Files that belong together, written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NEW = ".new-"


@contextmanager
def replacing_files(folder: Path, *, last: str) -> Iterator[Path]:
    """Give a folder to write files in, and put them in place when the context ends well.

    Args:
        folder: where they belong; made where it is missing.
        last: the file that vouches for the others, put in place after them.

    Raises:
        OSError: a file could not be written; what the folder had before is unchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{_NEW}*"):  # of a process that was killed
        shutil.rmtree(old, ignore_errors=True)
    made = folder / f"{_NEW}{os.getpid()}"
    made.mkdir()
    try:
        yield made
        for path in sorted(made.iterdir(), key=lambda each: each.name == last):
            path.replace(folder / path.name)
    except OSError as error:
        reason = f"{error.strerror or error}; nothing in the folder has changed"
        raise OSError(error.errno, f"files cannot be written ({reason})", str(folder)) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
        with suppress(OSError):  # it has files, as it should
            folder.rmdir()
