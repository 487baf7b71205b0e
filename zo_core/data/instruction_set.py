"""Natural Instructions as a data set: its test tasks for the clients, its training tasks before.

Clients fine-tune on the official test tasks; a fixed part of each is the test set.  The official
training split, every token of it, is what a model may be pre-trained on first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from zo_core.data.dataset import Dataset, Split, Texts
from zo_core.data.files import Source, folder_of, require_files
from zo_core.data.instructions import EncodedTasks, encode_tasks, read_tasks
from zo_core.data.tokens import gpt2_tokenizer
from zo_core.loss.items import UNLABELLED
from zo_core.philox import Purpose, random_permutation

NAME = "instructions"
VOCABULARY, MERGES = "vocab.json", "merges.txt"  # GPT-2's
_SPLITS = ("splits/default/train_tasks.txt", "splits/default/test_tasks.txt")
_TEST_SEED = 42  # of the choice of test instances, the same for every run
_TEST_SHARE = 0.2  # of each task


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLimits:
    """What the tasks are cut to, for a model that trains on one core."""

    positions: int = 128  # tokens of a sequence
    definition_chars: int = 64  # of a task's definition
    merges: int = 1792  # of GPT-2's BPE, the first ones: 2,049 tokens
    most: int = 1000  # instances of a training task


LIMITS = TextLimits()


def require_instructions(source: Source) -> None:
    """Check that the folder has the lists of tasks and GPT-2's vocabulary and merges.

    Raises:
        ValueError, FileNotFoundError: no folder, or files are missing.
    """
    names = (*_SPLITS, VOCABULARY, MERGES)
    require_files(NAME, folder_of(NAME, source), names, can_download=False)


def instructions(source: Source, limits: TextLimits = LIMITS) -> Dataset:
    """Read and encode all tasks.

    Args:
        source: its folder is Natural Instructions', with GPT-2's vocab.json and merges.txt.
        limits: what the tasks are cut to.

    Raises:
        ValueError, FileNotFoundError: a file is missing or damaged, or no instance of a task is
            short enough.
        ImportError: the tokenizers package is not installed.
    """
    require_instructions(source)
    folder = folder_of(NAME, source)
    tokenizer = gpt2_tokenizer(folder / VOCABULARY, folder / MERGES, first=limits.merges)
    encode = partial(
        encode_tasks,
        tokenizer=tokenizer,
        positions=limits.positions,
        definition_chars=limits.definition_chars,
    )
    usable = encode(read_tasks(folder, "train"), most=limits.most, skip_long_tasks=True)
    held = encode(read_tasks(folder, "test"))
    test = _test_items(held)
    rest = np.setdiff1d(np.arange(len(held.split)), test)
    return Dataset(
        name=NAME,
        train=held.split.select(rest),
        test=held.split.select(test),
        num_classes=tokenizer.size,
        texts=Texts(
            tokenizer=tokenizer,
            task_names=held.names,
            train_tasks=held.tasks[torch.from_numpy(rest)],
            test_tasks=held.tasks[torch.from_numpy(test)],
            test_prompts=tuple(held.prompts[item] for item in test),
            test_answers=tuple(held.answers[item] for item in test),
            pretraining=_all_labelled(usable.split, tokenizer.end_id),
            left_out=held.left_out,
        ),
    )


def _test_items(held: EncodedTasks) -> npt.NDArray[np.int64]:
    chosen = []
    for task in range(len(held.names)):
        items = np.flatnonzero(held.tasks.numpy() == task)
        order = random_permutation(_TEST_SEED, Purpose.SHUFFLE, len(items), a=task)
        chosen.append(items[order[: int(_TEST_SHARE * len(items))]])
    return np.sort(np.concatenate(chosen))


def _all_labelled(split: Split, end_id: int) -> Split:
    """Label every token that follows another, prompts too: what pre-training learns from."""
    y = torch.full_like(split.x, UNLABELLED)
    y[:, :-1] = split.x[:, 1:]
    y[y == end_id] = UNLABELLED
    answers = split.y != UNLABELLED
    y[answers] = split.y[answers]
    return Split(x=split.x, y=y)
