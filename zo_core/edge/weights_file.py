"""Tensors of a safetensors file, read to where they will live.

The library maps the file and copies out of it, so that a process holds the weights twice at its
peak; here the file is read straight into one buffer.  The format
(https://github.com/huggingface/safetensors): the header's length in 8 bytes, little endian; a JSON
header {name: {dtype, shape, data_offsets}}; the tensors' bytes, one after the other.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

_DTYPES = {
    name: np.dtype(code)
    for name, code in {
        "F64": "<f8",
        "F32": "<f4",
        "F16": "<f2",
        "I64": "<i8",
        "I32": "<i4",
        "U8": "|u1",
        "BOOL": "|b1",
    }.items()
}
_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 100_000_000  # the format's own limit
_CACHE_LINE = 64

Tensors = dict[str, npt.NDArray[Any]]


class WeightsFileError(ValueError):
    """A file that is no safetensors file, or not a whole one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int  # bytes from the end of the header
    stop: int


def read_tensors(path: Path) -> Tensors:
    """Read all tensors of a safetensors file, in the order of their bytes.

    Returns:
        Writable arrays by name; all lie in one buffer, each from a cache line of its own.

    Raises:
        WeightsFileError: the file is truncated, over-long or no safetensors file.
        OSError: it cannot be opened.
    """
    with path.open("rb", buffering=0) as file:
        entries = _read_header(file, path)
        lengths = [entry.stop - entry.start for entry in entries]
        buffer = np.empty(sum(map(_padded, lengths)) + _CACHE_LINE, np.uint8)
        at = -buffer.ctypes.data % _CACHE_LINE
        tensors = {}
        for entry, length in zip(entries, lengths, strict=True):
            part = buffer[at : at + length]
            _fill(file, part, path)
            tensors[entry.name] = part.view(entry.dtype).reshape(entry.shape)
            at += _padded(length)
    return tensors


def _read_header(file: BinaryIO, path: Path) -> list[_Entry]:
    """Parse the header and check that the tensors fill the rest of the file exactly."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if not 0 < length <= min(size - _LENGTH_BYTES, _MOST_HEADER_BYTES):
        raise WeightsFileError(f"{path} is truncated, or no safetensors file: copy it again")
    try:
        header = json.loads(file.read(length))
        entries = [_entry(name, data) for name, data in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsFileError(f"{path} has no safetensors header: {error!r}") from error
    entries.sort(key=lambda entry: (entry.start, entry.stop))
    end = 0
    for entry in entries:
        if entry.start != end:
            raise WeightsFileError(f"{path}: tensor {entry.name!r} must begin at byte {end}")
        end = entry.stop
    if _LENGTH_BYTES + length + end != size:
        raise WeightsFileError(
            f"{path} must hold {_LENGTH_BYTES + length + end} bytes by its header, got {size}: "
            "it is truncated or over-long, copy it again"
        )
    return entries


def _entry(name: str, data: Mapping[str, Any]) -> _Entry:
    if data["dtype"] not in _DTYPES:
        raise ValueError(f"dtype of {name!r} must be in {', '.join(_DTYPES)}, got {data['dtype']}")
    dtype, shape = _DTYPES[data["dtype"]], tuple(map(int, data["shape"]))
    start, stop = map(int, data["data_offsets"])
    if min(shape, default=1) < 0 or stop - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"shape {shape} of {name!r} does not fit {stop - start} bytes")
    return _Entry(name=name, dtype=dtype, shape=shape, start=start, stop=stop)


def _fill(file: BinaryIO, part: npt.NDArray[np.uint8], path: Path) -> None:
    """Read until the part is full: a single call may give less."""
    view = part.data
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise WeightsFileError(f"{path} became shorter while it was read")
        view = view[count:]


def _padded(length: int) -> int:
    return -(-length // _CACHE_LINE) * _CACHE_LINE
