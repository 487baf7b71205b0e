"""Tokenizers from local files: GPT-2's BPE whole or cut short."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Protocol

from zo_core.data.files import read_text

_BYTES: Final = 256


class Tokenizer(Protocol):
    """Text to numbers and back."""

    @property
    def size(self) -> int:
        """Number of tokens, the end token included."""

    @property
    def end_id(self) -> int:
        """The token that ends a text; also what inputs are padded with."""

    def encode(self, text: str) -> list[int]:
        """Turn text into token ids, without an end token."""

    def decode(self, ids: list[int]) -> str:
        """Turn token ids into text."""


class FileTokenizer:
    """A tokenizer of the ``tokenizers`` package.

    Args:
        tokenizer: what that package made of some files.
        size: number of tokens.
        end_id: the token that ends a text.
    """

    def __init__(self, tokenizer: Any, *, size: int, end_id: int) -> None:
        self._tokenizer = tokenizer
        self.size = size
        self.end_id = end_id

    def encode(self, text: str) -> list[int]:
        """Turn text into token ids, without the model's special tokens."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: list[int]) -> str:
        """Turn token ids into text."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text


def gpt2_tokenizer(vocabulary: Path, merges: Path, *, first: int | None = None) -> FileTokenizer:
    """Read GPT-2's byte-level BPE from its two files.

    Merges stand in the order in which they were learnt, so the first of them are a BPE of their
    own: a small vocabulary for a small model.

    Args:
        vocabulary: vocab.json (also called encoder.json): token to number.
        merges: merges.txt (also called vocab.bpe): a pair a line.
        first: merges to keep; None for all.

    Raises:
        ValueError: a file is missing or not of that form, or first is out of range.
        ImportError: the tokenizers package is not installed.
    """
    numbers, pairs = _read_vocabulary(vocabulary), _read_merges(merges)
    if first is not None and not 0 <= first <= len(pairs):
        raise ValueError(f"first must be in [0, {len(pairs)}], the number of merges, got {first}")
    kept = pairs[:first]
    tokens = sorted(numbers, key=numbers.__getitem__)[: _BYTES + len(kept)]
    missing = [pair for pair in kept if "".join(pair) not in numbers]
    if missing or len(tokens) != _BYTES + len(kept):
        raise ValueError(f"{vocabulary} is not the vocabulary of the merges in {merges}")
    tokenizers = _import_tokenizers()
    model = tokenizers.models.BPE(
        vocab={token: number for number, token in enumerate(tokens)}, merges=kept
    )
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return FileTokenizer(tokenizer, size=len(tokens) + 1, end_id=len(tokens))


def _read_vocabulary(path: Path) -> dict[str, int]:
    try:
        numbers = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a vocabulary (JSON, token to number): {error}") from error
    if not (isinstance(numbers, dict) and all(isinstance(n, int) for n in numbers.values())):
        raise ValueError(f"{path} is not a vocabulary: it must map tokens to numbers")
    return numbers


def _read_merges(path: Path) -> list[tuple[str, str]]:
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} contains no merges: {error}") from error
    pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    wrong = next((pair for pair in pairs if len(pair) != 2), None)
    if wrong is not None or not pairs:
        raise ValueError(f"{path} contains no merges: each line must be two tokens, got {wrong}")
    return [(first, second) for first, second in pairs]


def _import_tokenizers() -> Any:
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
    except ModuleNotFoundError as error:
        raise ImportError('tokenizers is not installed: pip install "zobench[llm]"') from error
    return tokenizers
