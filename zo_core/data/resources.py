"""Which clients can train by backprop: the high-resource share and its random assignment."""

from __future__ import annotations

import math

from zo_core.data.partition_stream import Use
from zo_core.philox import Purpose, random_permutation


def parse_split(text: str) -> float:
    """Parse a high/low split in per cent into the share of high-resource clients.

    Args:
        text: two numbers from 0 to 100 that add up to 100, as in the paper's tables: "10/90".

    Returns:
        The share, in [0, 1].

    Raises:
        ValueError: the text is not of that form.

    >>> parse_split("10/90")
    0.1
    """
    try:
        high, low = (float(part) for part in text.split("/"))
    except ValueError:
        high = low = math.nan
    if not (high >= 0.0 and low >= 0.0 and high + low == 100.0):
        raise ValueError(
            f"split must be two percentages (high/low) that add up to 100, got {text!r};"
            " for instance '10/90'"
        )
    return high / 100.0


def assign_resources(run_seed: int, clients: int, high_share: float) -> frozenset[int]:
    """Draw which slots have high resources.

    Args:
        run_seed: the run's seed, in [0, 2^64).
        clients: number of clients, >= 1.
        high_share: share of them, in [0, 1]; the number is rounded to the nearest client.

    Returns:
        The slots with high resources; all others have low resources.

    Raises:
        ValueError: a share out of range, or one above 0 that rounds to no client.
    """
    if not 0.0 <= high_share <= 1.0:
        raise ValueError(f"high_share must be in [0, 1], got {high_share}")
    high = round(high_share * clients)
    if high == 0 and high_share > 0.0:
        fix = f"use a share of at least {1.0 / clients:.3g}, or more clients"
        raise ValueError(
            f"high_share {high_share} of {clients} client{'s' * (clients > 1)} rounds to no"
            f" client: {fix if clients > 1 else 'use at least 2 clients'}"
        )
    order = random_permutation(run_seed, Purpose.PARTITION, clients, b=Use.RESOURCES)
    return frozenset(order[:high].tolist())
