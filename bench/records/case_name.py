"""Names of cases: built and parsed here and nowhere else.

A stored name is a group and its parts, joined by slashes: ``memory/resnet18/zo/b64``.  Names that
more than one file looks up have a constructor each; the others are built by ``CaseName.of``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SEPARATOR = "/"


@dataclass(frozen=True, slots=True)
class CaseName:
    """One case's name."""

    group: str  # in bench.groups, or the command's that wrote the record
    parts: tuple[str, ...]  # at least one; none is empty or contains a slash

    def __post_init__(self) -> None:
        if not self.parts or any(not part or _SEPARATOR in part for part in self._all):
            raise ValueError(f"case must look like group/part[/part...], got {str(self)!r}")

    @classmethod
    def of(cls, group: str, *parts: str | int) -> CaseName:
        """Build a name from its group and parts.

        Raises:
            ValueError: there is no part, or one is empty or contains a slash.

        >>> str(CaseName.of("wire", "fleet", 10))
        'wire/fleet/10'
        """
        return cls(group, tuple(str(part) for part in parts))

    @classmethod
    def parse(cls, text: str) -> CaseName:
        """Parse a stored name.

        Raises:
            ValueError: the text has fewer than two parts, or an empty one.

        >>> CaseName.parse("accuracy/zowarmup/10-90").split
        '10-90'
        """
        group, *parts = text.split(_SEPARATOR)
        return cls(group, tuple(parts))

    @classmethod
    def memory(cls, model: str, method: str, batch: int, images: int | None = None) -> CaseName:
        """Name the memory of a step, or of a whole set of images in micro-batches."""
        return cls.of("memory", model, method, size_part(batch, images))

    @classmethod
    def time(cls, model: str, method: str, batch: int) -> CaseName:
        """Name the time of a step."""
        return cls.of("time", model, method, size_part(batch))

    @classmethod
    def bytes(cls, model: str, method: str) -> CaseName:
        """Name the bytes of a client's round."""
        return cls.of("bytes", model, method)

    @classmethod
    def edge(cls, model: str, client: str, batch: int, images: int | None = None) -> CaseName:
        """Name the round of a client with or without torch."""
        return cls.of("edge", model, client, size_part(batch, images))

    @classmethod
    def accuracy(cls, variant: str, split: str) -> CaseName:
        """Name the trainings of a variant; the split is "10/90" or "10-90"."""
        return cls.of("accuracy", variant, split_part(split))

    @classmethod
    def frontier(cls, panel: str, variant: str, steps: str) -> CaseName:
        """Name the cost of a variant whose steps are taken in one of several forms."""
        return cls.of("frontier", panel, variant, steps)

    @property
    def label(self) -> str:
        """The name without its group."""
        return _SEPARATOR.join(self.parts)

    @property
    def file_name(self) -> str:
        """The name of the record's file."""
        return f"{'-'.join(self._all)}.json"

    @property
    def variant(self) -> str:
        """What was trained, in a name of the groups accuracy and frontier."""
        return self._part(accuracy=0, frontier=1)

    @property
    def split(self) -> str:
        """The split, e.g. "10-90", in a name of the group accuracy."""
        return self._part(accuracy=1)

    @property
    def panel(self) -> str:
        """The split, after the data set where that is not the digits, in a name of a frontier."""
        return self._part(frontier=0)

    def replacing(self, old: str, new: str) -> CaseName:
        """Return the name with one part in the place of another."""
        return CaseName(self.group, tuple(new if part == old else part for part in self.parts))

    def __str__(self) -> str:
        return _SEPARATOR.join(self._all)

    @property
    def _all(self) -> tuple[str, ...]:
        return (self.group, *self.parts)

    def _part(self, **index_by_group: int) -> str:
        if self.group not in index_by_group:
            groups = " or ".join(index_by_group)
            raise ValueError(f"group must be {groups} to have this part, got {self}")
        return self.parts[index_by_group[self.group]]


def size_part(batch: int, images: int | None = None) -> str:
    """Write the size of a step: one batch, or a set of images in micro-batches.

    >>> size_part(64), size_part(8, 900)
    ('b64', '900-by-8')
    """
    return f"b{batch}" if images is None else f"{images}-by-{batch}"


def name_part(text: str) -> str:
    """Write a name that may be a path or an import path as a part of a name.

    >>> name_part("torchvision:resnet18"), name_part("data/my clicks.npz")
    ('torchvision-resnet18', 'my-clicks.npz')
    """
    return re.sub(r"[^\w.-]+", "-", text.rstrip(_SEPARATOR).rsplit(_SEPARATOR, 1)[-1]).strip("-")


def split_part(split: str) -> str:
    """Write a split as a part of a name.

    >>> split_part("10/90")
    '10-90'
    """
    return split.replace(_SEPARATOR, "-")


def place_key(row: str, split: str) -> str:
    """Begin the names of a table's metrics at one row and split.

    >>> place_key("zowarmup", "10/90")
    'zowarmup/10-90'
    """
    return f"{row}{_SEPARATOR}{split_part(split)}"
