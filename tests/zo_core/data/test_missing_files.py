"""A missing file's message looks at what lies in its place and says what to do with it."""

from __future__ import annotations

import codecs
from pathlib import Path

import numpy as np
import pytest

from zo_core.data.files import read_text, require_files
from zo_core.data.instructions import read_tasks
from zo_core.data.tokens import gpt2_tokenizer

WANTED = "FashionMNIST/raw/train-images-idx3-ubyte"


def message(root: Path, path: str = WANTED) -> str:
    with pytest.raises(FileNotFoundError) as error:
        require_files("fashion-mnist", root, [path], can_download=True)
    return str(error.value)


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_a_packed_file_is_to_be_unpacked(tmp_path: Path) -> None:
    packed = put(tmp_path / f"{WANTED}.gz")
    assert f"gunzip --keep {packed}" in message(tmp_path)


def test_a_dotted_name_is_to_be_changed(tmp_path: Path) -> None:
    dotted = put(tmp_path / "FashionMNIST" / "raw" / "train-images.idx3-ubyte")
    assert f"rename {dotted} to train-images-idx3-ubyte" in message(tmp_path)


@pytest.mark.parametrize("given", ["FashionMNIST", "FashionMNIST/raw"])
def test_a_folder_given_too_deep_is_to_be_its_parent(tmp_path: Path, given: str) -> None:
    put(tmp_path / WANTED)
    assert f"the data folder is {tmp_path}:" in message(tmp_path / given)


def test_a_folder_given_too_high_is_to_be_its_child(tmp_path: Path) -> None:
    put(tmp_path / "data" / WANTED)
    assert f"the data folder is {tmp_path / 'data'}:" in message(tmp_path)


def test_files_without_their_folders_are_to_be_moved(tmp_path: Path) -> None:
    flat = put(tmp_path / "train-images-idx3-ubyte")
    assert f"move {flat} into {tmp_path / 'FashionMNIST' / 'raw'}" in message(tmp_path)


def test_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    archive = put(tmp_path / "cifar-10-python.tar.gz")
    assert f"{archive} is an archive: unpack it in {tmp_path}" in message(
        tmp_path, "cifar-10-batches-py/data_batch_1"
    )


def test_another_packing_is_named_with_the_way_to_convert_it(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", x=np.zeros(1))
    assert "mnist.npz is in a format that is not supported" in message(tmp_path)
    assert "docs/data.md" in message(tmp_path)


def test_a_folder_that_is_not_there_or_a_file_is_named(tmp_path: Path) -> None:
    assert "is not there; give the data folder" in message(tmp_path / "absent")
    assert "is a file; give the data folder" in message(put(tmp_path / "a.bin"))


def test_where_nothing_lies_the_file_is_asked_for(tmp_path: Path) -> None:
    assert f"put {WANTED} there, or ask for the download" in message(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (codecs.BOM_UTF8 + b"text", "byte-order mark"),
        (codecs.BOM_UTF16_LE + "text".encode("utf-16-le"), "byte-order mark"),
        ("caf\xe9".encode("latin-1"), r"not UTF-8 text \(byte 3\)"),
    ],
)
def test_text_in_another_encoding_is_refused_by_name(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"file\.txt .*{words}"):
        read_text(path)


def test_no_reader_takes_a_byte_order_mark_for_data(tmp_path: Path) -> None:
    merges, vocabulary = tmp_path / "merges.txt", tmp_path / "vocab.json"
    merges.write_bytes(codecs.BOM_UTF8 + b"#version: 0.2\na b\n")
    vocabulary.write_text('{"a": 0, "b": 1, "ab": 2}')
    with pytest.raises(ValueError, match=r"merges\.txt starts with a byte-order mark"):
        gpt2_tokenizer(vocabulary, merges)
    listed = put(tmp_path / "splits" / "default" / "train_tasks.txt")
    listed.write_bytes(codecs.BOM_UTF8 + b"task1\n")
    with pytest.raises(ValueError, match=r"train_tasks\.txt starts with a byte-order mark"):
        read_tasks(tmp_path, "train")
