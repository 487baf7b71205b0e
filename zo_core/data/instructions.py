"""Natural Instructions: tasks as JSON files, official splits, instances as token sequences.

Layout and format are those of Wang et al., "Super-NaturalInstructions: Generalization via
Declarative Instructions on 1600+ NLP Tasks", EMNLP 2022, arXiv 2204.07705: ``tasks/<name>.json``
and ``splits/default/{train,test}_tasks.txt``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zo_core.data.dataset import Split
from zo_core.data.files import read_text
from zo_core.data.tokens import Tokenizer
from zo_core.loss.items import UNLABELLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One question of a task."""

    input: str
    outputs: tuple[str, ...]  # accepted answers, at least one; the first is trained on


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task with its instances."""

    name: str
    definition: str
    instances: tuple[Instance, ...]

    def prompt(self, instance: Instance, *, definition_chars: int | None = None) -> str:
        """Write the instruction that an answer follows.

        Args:
            instance: of this task.
            definition_chars: cut the definition there, for models of few positions; None: whole.
        """
        definition = self.definition[:definition_chars].strip()
        return f"Definition: {definition}\nInput: {instance.input}\nOutput:"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedTasks:
    """Tasks as one split of token sequences, task after task."""

    split: Split  # x (items, positions) ids, padded by the end token; y the next token of answers
    tasks: torch.Tensor  # (items,), the number of each item's task
    prompts: tuple[str, ...]  # of each item
    answers: tuple[tuple[str, ...], ...]  # accepted ones of each item
    names: tuple[str, ...]  # of the tasks
    left_out: int  # instances that were longer than the positions


def read_task(path: Path) -> Task:
    """Read one task file; a definition may be a string or a list of them.

    Raises:
        ValueError: the file cannot be read or is no task; the message says what is wrong where.
    """
    try:
        data = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a task file (JSON): {error}") from error
    try:
        definition = data["Definition"]
        instances = tuple(_instance(instance) for instance in data["Instances"])
    except (KeyError, TypeError, IndexError) as error:
        reason = f"{type(error).__name__} {error}"
        raise ValueError(
            f"{path} is not a task of Natural Instructions: it must have a Definition and "
            f"Instances with input and output ({reason})"
        ) from error
    definition = definition[0] if isinstance(definition, list) and definition else definition
    if not isinstance(definition, str) or not instances:
        raise ValueError(f"{path}: Definition must be text, and there must be an instance")
    return Task(name=path.stem, definition=definition, instances=instances)


def read_tasks(folder: Path, split: str) -> tuple[Task, ...]:
    """Read the tasks of a split.

    Args:
        folder: holds ``tasks/`` and ``splits/default/``.
        split: "train" or "test".

    Raises:
        ValueError: the split is unknown or not there, or a task of it is missing or damaged.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be train or test, got {split!r}")
    listed = folder / "splits" / "default" / f"{split}_tasks.txt"
    if not listed.is_file():
        raise ValueError(f"{folder} is not a folder of Natural Instructions: {listed} is missing")
    return tuple(read_task(folder / "tasks" / f"{name}.json") for name in read_text(listed).split())


def encode_tasks(
    tasks: Sequence[Task],
    tokenizer: Tokenizer,
    *,
    positions: int,
    definition_chars: int | None = None,
    most: int | None = None,
    skip_long_tasks: bool = False,
) -> EncodedTasks:
    """Turn tasks into sequences whose answer tokens alone are labelled.

    Args:
        tasks: numbered in this order.
        tokenizer: the model's.
        positions: longest sequence, tokens; longer instances are left out, and counted.
        definition_chars: as :meth:`Task.prompt` takes it.
        most: instances of a task, at most; None for all.
        skip_long_tasks: leave out a task none of whose instances fits, instead of refusing it.

    Raises:
        ValueError: no instance of a task fits, or of none.
    """
    kept: list[tuple[int, str, tuple[str, ...], list[int], int]] = []
    left_out = 0
    for number, task in enumerate(tasks):
        of_task = []
        for instance in task.instances[:most]:
            prompt = task.prompt(instance, definition_chars=definition_chars)
            question = tokenizer.encode(prompt)
            answer = [*tokenizer.encode(f" {instance.outputs[0]}"), tokenizer.end_id]
            if len(question) + len(answer) - 1 <= positions:
                ids = [*question, *answer]
                of_task.append((number, prompt, instance.outputs, ids, len(question)))
            else:
                left_out += 1
        if not of_task and not skip_long_tasks:
            raise ValueError(
                f"no instance of {task.name} has at most {positions} tokens; "
                "give more positions, or cut the definition (definition_chars)"
            )
        kept += of_task
    if not kept:
        raise ValueError(f"no instance of any task has at most {positions} tokens")
    return EncodedTasks(
        split=_padded([(ids, start) for *_, ids, start in kept], positions, tokenizer.end_id),
        tasks=torch.tensor([number for number, *_ in kept]),
        prompts=tuple(prompt for _, prompt, *_ in kept),
        answers=tuple(outputs for _, _, outputs, *_ in kept),
        names=tuple(task.name for task in tasks),
        left_out=left_out,
    )


def _padded(sequences: Sequence[tuple[list[int], int]], positions: int, end_id: int) -> Split:
    """Shift by one: y holds what follows x, from the answer's first token on."""
    x = torch.full((len(sequences), positions), end_id)
    y = torch.full((len(sequences), positions), UNLABELLED)
    for row, (ids, start) in enumerate(sequences):
        x[row, : len(ids) - 1] = torch.tensor(ids[:-1])
        y[row, start - 1 : len(ids) - 1] = torch.tensor(ids[start:])
    return Split(x=x, y=y)


def _instance(data: Any) -> Instance:
    outputs = data["output"]
    outputs = (outputs,) if isinstance(outputs, str) else tuple(outputs)
    if not (isinstance(data["input"], str) and all(isinstance(o, str) for o in outputs)):
        raise TypeError("input and output must be text")
    if not outputs:
        raise IndexError("an instance without output")
    return Instance(input=data["input"], outputs=outputs)
