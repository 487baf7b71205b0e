"""The boards that a step's memory is compared with, and whether it fits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

SYSTEM_BYTES: Final = 150 << 20  # of a board without a desktop; the devices' catalogue has the same
_SPARE = 0.1  # a step that fits with less than this share of the limit to spare is tight


class Verdict(Enum):
    """Whether a step fits."""

    FITS = "fits"
    TIGHT = "tight"
    DOES_NOT_FIT = "does not fit"


def verdict_of(needed_bytes: float, limit_bytes: float) -> Verdict:
    """Compare what a step needs with what it may use.

    >>> [verdict_of(needed, 100).value for needed in (90, 91, 100, 101)]
    ['fits', 'tight', 'tight', 'does not fit']
    """
    if needed_bytes > limit_bytes:
        return Verdict.DOES_NOT_FIT
    return Verdict.TIGHT if needed_bytes > (1 - _SPARE) * limit_bytes else Verdict.FITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One memory that a step has to fit in."""

    name: str
    memory_bytes: int  # all of it
    reserve_bytes: int = 0  # for the operating system

    def verdict(self, needed_bytes: float) -> Verdict:
        """Say whether a process fits next to the operating system."""
        return verdict_of(needed_bytes, self.memory_bytes - self.reserve_bytes)


BOARDS: Final = tuple(
    Memory(name=name, memory_bytes=size, reserve_bytes=SYSTEM_BYTES)
    for name, size in {"512 MiB": 512 << 20, "1 GiB": 1 << 30, "4 GiB": 4 << 30}.items()
)
