"""Write files whole or not at all: a single one, or several that belong together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError  # what that library raises on a full disk

_NEW = ".new-"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path next to a file to write to, and put it in the file's place at the end.

    Args:
        path: the file; its folder is made.

    Raises:
        OSError: it cannot be written, as on a full disk; what was there is unchanged.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except (OSError, SafetensorError) as error:
        reason = f"{getattr(error, 'strerror', None) or error}; what was there is unchanged"
        number = getattr(error, "errno", None)
        raise OSError(number, f"the file cannot be written ({reason})", str(path)) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def replacing_files(folder: Path, *, last: str) -> Iterator[Path]:
    """Give a folder to write files in, and put them in place when the context ends well.

    Args:
        folder: where they belong; made where it is missing.
        last: the file that says that the others are complete, put in place after them.

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
