"""Natural Instructions and tokenizers, on files written here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from optional import needs

from zo_core.data.instructions import Instance, Task, encode_tasks, read_task, read_tasks
from zo_core.data.tokens import gpt2_tokenizer
from zo_core.loss.items import UNLABELLED


@dataclass(frozen=True, slots=True)
class ByteTokenizer:
    """A token for each byte of UTF-8, and an end token."""

    size: int = 257
    end_id: int = 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: list[int]) -> str:
        return bytes(i for i in ids if i < 256).decode(errors="replace")


BYTES = ByteTokenizer()
TASK = Task(
    name="colours",
    definition="Name the colour. Be short.",
    instances=(
        Instance(input="sky", outputs=("blue",)),
        Instance(input="leaf", outputs=("green", "dark green")),
    ),
)


def write_task(path: Path, definition: object, instances: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"Definition": definition, "Instances": instances}))
    return path


@pytest.mark.parametrize("definition", ["Say it.", ["Say it."]])
@pytest.mark.parametrize("output", ["yes", ["yes"]])
def test_both_formats_are_read_alike(tmp_path: Path, definition: object, output: object) -> None:
    path = write_task(tmp_path / "t.json", definition, [{"input": "a", "output": output}])
    expected = Task(
        name="t", definition="Say it.", instances=(Instance(input="a", outputs=("yes",)),)
    )
    assert read_task(path) == expected


def test_a_split_names_its_tasks(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_task(tmp_path / "tasks" / f"{name}.json", name, [{"input": "a", "output": ["b"]}])
    lists = tmp_path / "splits" / "default"
    lists.mkdir(parents=True)
    (lists / "test_tasks.txt").write_text("two\none\n")
    assert [task.name for task in read_tasks(tmp_path, "test")] == ["two", "one"]
    with pytest.raises(ValueError, match=r"train_tasks\.txt is missing"):
        read_tasks(tmp_path, "train")
    with pytest.raises(ValueError, match="train or test"):
        read_tasks(tmp_path, "validation")
    (lists / "test_tasks.txt").write_text("three\n")
    with pytest.raises(ValueError, match=r"three\.json is not a task file"):
        read_tasks(tmp_path, "test")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"Definition": "d"}',
        '{"Definition": "d", "Instances": []}',
        '{"Definition": 3, "Instances": [{"input": "a", "output": "b"}]}',
        '{"Definition": "d", "Instances": [{"input": "a"}]}',
        '{"Definition": "d", "Instances": [{"input": "a", "output": []}]}',
        '{"Definition": "d", "Instances": [{"input": 1, "output": ["b"]}]}',
    ],
)
def test_a_file_that_is_no_task_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "task1_broken.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"task1_broken\.json"):
        read_task(path)


def test_answer_tokens_alone_are_labelled_and_shifted_by_one() -> None:
    encoded = encode_tasks([TASK], BYTES, positions=64)
    x, y = encoded.split.x, encoded.split.y
    for row, answer in enumerate([" blue", " green"]):
        labelled = y[row] != UNLABELLED
        assert BYTES.decode(y[row][labelled].tolist()) == answer
        assert y[row][labelled][-1] == BYTES.end_id
        ids = [*BYTES.encode(encoded.prompts[row] + answer), BYTES.end_id]
        assert x[row, : len(ids) - 1].tolist() == ids[:-1]
        assert (x[row, len(ids) - 1 :] == BYTES.end_id).all()
        assert labelled.nonzero()[0] == len(BYTES.encode(encoded.prompts[row])) - 1
    assert encoded.answers == (("blue",), ("green", "dark green"))
    assert encoded.tasks.tolist() == [0, 0]


def test_what_is_longer_than_the_model_is_left_out_and_counted() -> None:
    longest = len(BYTES.encode(TASK.prompt(TASK.instances[1]) + " green"))
    assert len(encode_tasks([TASK], BYTES, positions=longest).split) == 2
    shorter = encode_tasks([TASK], BYTES, positions=longest - 1)
    assert (len(shorter.split), shorter.left_out) == (1, 1)
    with pytest.raises(ValueError, match="no instance of colours has at most 8 tokens"):
        encode_tasks([TASK], BYTES, positions=8)


def test_a_definition_can_be_cut() -> None:
    assert "Be short" not in TASK.prompt(TASK.instances[0], definition_chars=16)


def write_bpe(folder: Path) -> tuple[Path, Path]:
    """A vocabulary in GPT-2's form: 256 byte symbols, two merges, the end token."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    symbols = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]
    tokens = [*symbols, "lo", "low", "<|endoftext|>"]
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    merges.write_text("#version: 0.2\nl o\nlo w\n")
    return vocabulary, merges


@needs("tokenizers")
def test_gpt2s_bpe_whole_and_cut_short(tmp_path: Path) -> None:
    files = write_bpe(tmp_path)
    whole, one, none = (gpt2_tokenizer(*files, first=n) for n in (None, 1, 0))
    assert [t.size for t in (whole, one, none)] == [259, 258, 257]
    assert [len(t.encode("low löw")) for t in (whole, one, none)] == [6, 7, 8]
    for tokenizer in (whole, one, none):
        assert tokenizer.decode(tokenizer.encode("low löw")) == "low löw"
        assert max(tokenizer.encode("low löw")) < tokenizer.end_id
    with pytest.raises(ValueError, match=r"first must be in \[0, 2\]"):
        gpt2_tokenizer(*files, first=3)


def test_files_that_are_no_bpe_are_named(tmp_path: Path) -> None:
    vocabulary, merges = write_bpe(tmp_path)
    other = tmp_path / "other.txt"
    for text in ("", "a b c\n"):
        other.write_text(text)
        with pytest.raises(ValueError, match=r"other\.txt contains no merges"):
            gpt2_tokenizer(vocabulary, other)
    other.write_text("q z\n")
    with pytest.raises(ValueError, match="is not the vocabulary of the merges"):
        gpt2_tokenizer(vocabulary, other)
    with pytest.raises(ValueError, match="is not a vocabulary"):
        gpt2_tokenizer(merges, merges)
