"""Where a data set's files lie, and what is wrong with them where something is."""

from __future__ import annotations

import codecs
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
            f"{name} needs a data folder: give data_dir (--data-dir), the folder that contains it"
        )
    return source.data_dir


def require_files(name: str, root: Path, paths: Iterable[str], *, can_download: bool) -> None:
    """Check that files are there.

    Raises:
        FileNotFoundError: some are missing; the message says which, where they belong, and what to
            do with what lies there in their place.
    """
    missing = [path for path in paths if not (root / path).is_file()]
    if missing:
        hint = next((hint for path in missing if (hint := _lies_there(root, path))), None)
        download = ", or ask for the download (zobench train --download)" if can_download else ""
        raise FileNotFoundError(
            f"{name} is not complete in {root}: "
            + (hint or f"put {', '.join(missing)} there{download}")
        )


def _lies_there(root: Path, path: str) -> str | None:
    """Say what to do with what lies in the place of a missing file; None where nothing does."""
    wanted = root / path
    if not root.is_dir():
        return f"{root} is {'a file' if root.exists() else 'not there'}; give the data folder"
    packed = wanted.with_name(f"{wanted.name}.gz")
    if packed.is_file():
        return f"{packed} is packed: unpack it (gunzip --keep {packed})"
    dotted = wanted.with_name(wanted.name.replace("-idx", ".idx"))
    if dotted.is_file():
        return f"rename {dotted} to {wanted.name}"
    return _other_folder(root, Path(path)) or _other_packing(root, wanted)


def _other_folder(root: Path, path: Path) -> str | None:
    """Look for a file above and below the folder where it belongs."""
    for above in root.parents[: len(path.parts)]:
        if (above / path).is_file():
            return f"the data folder is {above}: {path} lies there"
    below = next((each for each in sorted(root.glob("*/")) if (each / path).is_file()), None)
    if below is not None:
        return f"the data folder is {below}: {path} lies there"
    flat = root / path.name
    if len(path.parts) > 1 and flat.is_file():
        return f"move {flat} into {root / path.parent}"
    return None


def _other_packing(root: Path, wanted: Path) -> str | None:
    """Look for archives, which are not read."""
    for folder in dict.fromkeys((wanted.parent, root)):
        for pattern in ("*.tar.gz", "*.tgz", "*.zip"):
            if found := sorted(folder.glob(pattern)):
                return f"{found[0]} is an archive: unpack it in {root}"
        if found := sorted(folder.glob("*.npz")):
            return (
                f"{found[0]} is in a format that is not supported; put {wanted} there, written "
                "as docs/data.md shows"
            )
    return None


def read_text(path: Path) -> str:
    """Read a text file as UTF-8.

    Raises:
        ValueError: it starts with a byte-order mark, or is not UTF-8; the message names it.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{path} starts with a byte-order mark: save it as UTF-8 without one")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text (byte {error.start}): convert it to UTF-8"
        ) from error


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
