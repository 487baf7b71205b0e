"""The safetensors file: what is written comes back, in one buffer, or is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from zo_core.edge.weights_file import WeightsFileError, read_tensors

TENSORS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "empty": np.empty((0, 3), np.float32),
    "counter": np.array(7, dtype=np.int64),
    "mask": np.array([True, False, True]),
    "half": np.linspace(-1, 1, 5).astype(np.float16),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / "w.safetensors", metadata={"format": "np"})
    return tmp_path / "w.safetensors"


def test_what_the_library_writes_is_read(path: Path) -> None:
    found = read_tensors(path)
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype
        assert found[name].flags.writeable


def test_tensors_begin_on_cache_lines_of_one_buffer(path: Path) -> None:
    found = [t for t in read_tensors(path).values() if t.size]
    addresses = sorted(t.ctypes.data for t in found)
    assert all(address % 64 == 0 for address in addresses)
    assert addresses[-1] - addresses[0] <= 64 * len(found)  # the largest has 96 bytes


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
