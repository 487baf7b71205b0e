"""A file that is written whole or not at all, whatever ends the writing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError  # what that library raises on a full disk


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
