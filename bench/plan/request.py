"""What a plan is made for: the training, the device's link, and how many rounds."""

from __future__ import annotations

import re
from dataclasses import dataclass

VARIANTS = ("zowarmup", "fedavg", "fedavg-low-memory")
LABELS = {
    "zowarmup": "ZOWarmUp",
    "fedavg": "FedAvg",
    "fedavg-low-memory": "FedAvg, memory-efficient",
}
_UNITS = {"bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?bit/s)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A training to be planned.

    Raises:
        ValueError: a number is out of its range.
    """

    model: str
    items: int  # training items of each client
    rounds: dict[str, int | None]  # by variant; None: not known
    pivot: int  # warm-up rounds of ZOWarmUp
    clients: int
    high: int  # high-resource clients
    cohort: int  # clients per round of local training
    batch: int
    epochs: int  # of local training per round
    directions: int
    micro_batch: int | None
    link_bits_per_s: float | None

    def __post_init__(self) -> None:
        """Check what would make a figure meaningless."""
        for name in ("items", "clients", "batch", "epochs", "directions"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be >= 1, got {getattr(self, name)}")
        if not 1 <= self.high <= self.clients:
            raise ValueError(
                f"--split must give 1 to {self.clients} high-resource clients, got {self.high}"
            )
        rounds = self.rounds["zowarmup"]
        if rounds is not None and not 0 <= self.pivot <= rounds:
            raise ValueError(f"--pivot must be in [0, {rounds}], got {self.pivot}")


def parse_link(text: str) -> float:
    """Read a link's rate, in bit/s.

    Raises:
        ValueError: it has no unit, or is not a rate.

    >>> parse_link("10Mbit/s")
    10000000.0
    """
    match = _RATE.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"--link must be a rate with a unit, such as 10Mbit/s, got {text!r}")
    return float(match[1]) * _UNITS[match[2]]
