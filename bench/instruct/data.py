"""Natural Instructions for the comparison of section 4.2: who holds which instances of what task.

The model is first trained on the official training split, on every token of it, to stand for the
pre-trained model of the paper.  The official test tasks are then divided among clients, a fixed
part of each being the test set, and each client's own hold-out is what rates are chosen on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from zo_core.data import Partition, Split, dirichlet_partition
from zo_core.data.instructions import EncodedTasks, encode_tasks, read_tasks
from zo_core.data.tokens import Tokenizer, gpt2_tokenizer
from zo_core.loss.module_loss import UNLABELLED
from zo_core.method import ClientData
from zo_core.stream import Purpose, random_permutation

_TEST_SEED = 42  # of the choice of test instances, the same for every run
_TEST_SHARE = 0.2  # of each task


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What the tasks are cut to, for a model that trains on one core."""

    positions: int = 128  # tokens of a sequence
    definition_chars: int = 64  # of a task's definition
    merges: int = 1792  # of GPT-2's BPE, the first ones: 2,049 tokens
    clients: int = 30
    alpha: float = 0.1  # Dirichlet concentration of tasks over clients; the paper's for labels
    holdout_share: float = 0.1  # of each client's items
    most: int = 1000  # instances of a training task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InstructData:
    """The sequences of both phases."""

    config: DataConfig
    tokenizer: Tokenizer
    training: Split  # of the training tasks; every token labelled
    held: EncodedTasks  # the tasks that are fine-tuned on
    test: np.ndarray[tuple[int], np.dtype[np.int64]]  # items of held, by no client held
    rest: np.ndarray[tuple[int], np.dtype[np.int64]]  # the others

    def partition(self, run_seed: int) -> Partition:
        """Divide the items that are no test items among the clients, task by Dirichlet draws."""
        return dirichlet_partition(
            self.held.tasks.numpy()[self.rest],
            clients=self.config.clients,
            alpha=self.config.alpha,
            holdout_share=self.config.holdout_share,
            run_seed=run_seed,
        )

    def client(self, partition: Partition, slot: int) -> ClientData:
        """Return a client's training shard."""
        split = self.held.split.select(self.rest[partition.train[slot]])
        return ClientData(slot=slot, x=split.x, y=split.y)

    def holdout(self, partition: Partition) -> Split:
        """Return the pooled hold-outs of all clients."""
        return self.held.split.select(self.rest[partition.holdout.reshape(-1)])


def load_data(folder: Path, vocabulary: Path, merges: Path, config: DataConfig) -> InstructData:
    """Read and encode all tasks.

    Args:
        folder: of Natural Instructions.
        vocabulary: GPT-2's vocab.json.
        merges: GPT-2's merges.txt.
        config: what they are cut to.

    Raises:
        ValueError: a file is missing or damaged, or no instance of a task is short enough.
    """
    tokenizer = gpt2_tokenizer(vocabulary, merges, first=config.merges)
    encode = partial(
        encode_tasks,
        tokenizer=tokenizer,
        positions=config.positions,
        definition_chars=config.definition_chars,
    )
    usable = encode(read_tasks(folder, "train"), most=config.most, skip_long_tasks=True)
    held = encode(read_tasks(folder, "test"))
    test = _test_items(held)
    return InstructData(
        config=config,
        tokenizer=tokenizer,
        training=_all_labelled(usable.split, tokenizer.end_id),
        held=held,
        test=test,
        rest=np.setdiff1d(np.arange(len(held.split)), test),
    )


def _test_items(held: EncodedTasks) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
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
