"""The safetensors file: what is written comes back, in one buffer, or is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from zo_core.weights_file import WeightsFileError, read_tensors, write_tensors

TENSORS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "empty": np.empty((0, 3), np.float32),
    "counter": np.array(7, dtype=np.int64),
    "mask": np.array([True, False, True]),
    "half": np.linspace(-1, 1, 5).astype(np.float16),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_tensors(tmp_path / "w.safetensors", TENSORS)
    return tmp_path / "w.safetensors"


def test_what_is_written_is_read_in_its_order(path: Path) -> None:
    found = read_tensors(path)
    assert list(found) == list(TENSORS)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype
        assert found[name].flags.writeable


def test_tensors_begin_on_cache_lines_of_one_buffer(path: Path) -> None:
    found = [t for t in read_tensors(path).values() if t.size]
    addresses = [t.ctypes.data for t in found]
    assert all(address % 64 == 0 for address in addresses)
    assert max(addresses) - min(addresses) == 64 * len(found)  # the first one has 96 bytes


def test_the_library_reads_what_we_write_and_we_what_it_writes(path: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    for name, tensor in library.load_file(path).items():
        np.testing.assert_array_equal(tensor, TENSORS[name])
    library.save_file(TENSORS, tmp_path / "theirs", metadata={"format": "np"})
    found = read_tensors(tmp_path / "theirs")
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(found[name], tensor)


def test_a_file_cut_anywhere_or_too_long_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for length in (0, 4, 8, 40, len(whole) - 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsFileError, match=r"w\.safetensors"):
            read_tensors(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(WeightsFileError, match="over-long"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"dtype": "F8", "shape": [1], "data_offsets": [0, 1]}, "dtype"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "does not fit"),
        ({"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}, "does not fit"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}, "must begin at byte 0"),
        ({"dtype": "F32", "shape": [1]}, "data_offsets"),
        ([], "header"),
    ],
)
def test_a_header_that_lies_is_refused(path: Path, entry: object, words: str) -> None:
    text = json.dumps({"a": entry}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(WeightsFileError, match=words):
        read_tensors(path)


def test_a_dtype_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'z' must be of"):
        write_tensors(tmp_path / "w", {"z": np.zeros(1, np.complex64)})
