"""Where a data set's files lie, and what is wrong with them where something is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a data set's files are and how far to trust them."""

    data_dir: Path | None = None  # the folder that holds FashionMNIST/, cifar-10-batches-py/, ...
    download: bool = False  # fetch what is missing
    verify: bool = True  # compare checksums before reading


def folder_of(name: str, source: Source) -> Path:
    """Return the data folder.

    Raises:
        ValueError: none was given.
    """
    if source.data_dir is None:
        raise ValueError(
            f"{name} needs a data folder: give data_dir (--data-dir), the folder that holds it"
        )
    return source.data_dir


def require_files(name: str, root: Path, paths: Iterable[str], *, can_download: bool) -> None:
    """Check that files are there.

    Raises:
        FileNotFoundError: some are missing; the message says which, and where they belong.
    """
    missing = [path for path in paths if not (root / path).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{name} is not complete in {root}: put {', '.join(missing)} there"
            + (", or ask for the download (zobench train --download)" if can_download else "")
        )


def check_md5(root: Path, md5: Mapping[str, str]) -> None:
    """Compare files with their checksums.

    Raises:
        ValueError: one differs.
    """
    for path, expected in md5.items():
        found = hashlib.md5((root / path).read_bytes()).hexdigest()
        if found != expected:
            raise ValueError(
                f"{root / path} must have md5 {expected}, got {found}: the file is damaged or not"
                " the original; replace it, or read it all the same with verify=False (--no-verify)"
            )
