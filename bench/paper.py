"""What the paper prints: ZOWarmUp (Legate, Rish, Belilovsky, arXiv 2509.03503), PMLR v330.

Figures for comparison, and the paper's round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MB = 10**6  # the paper's megabyte
DIRECTIONS, COHORT = 3, 10  # S, and at most so many clients a round (appendix A.5, figure 2)
BATCH = 64  # of a FedAvg step (appendix A.5)
CLIENT_IMAGES, LOCAL_EPOCHS = 900, 3  # of a client (table 3), and of its warm-up (appendix A.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """One cell of Table 1 (page 5)."""

    method: str  # "fedavg" or "zo"
    quantity: str
    value: float | None  # MB for each client; None where the cell is a formula
    text: str  # as it stands in the table


TABLE_1 = (
    Printed(method="fedavg", quantity="up-link", value=None, text="(S K) · 4e-6"),
    Printed(method="fedavg", quantity="down-link", value=44.7, text="44.7"),
    Printed(method="fedavg", quantity="memory", value=533.2, text="533.2"),
    Printed(method="zo", quantity="up-link", value=None, text="(S) · 4e-6"),
    Printed(method="zo", quantity="down-link", value=44.7, text="44.7"),
    Printed(method="zo", quantity="memory", value=89.4, text="89.4"),
)

RESNET18_PARAMETERS = 11_173_962  # figure 8
RESNET18_FORWARD_BACKWARD_MB = 9.83  # figure 8
VIT_PARAMETERS = 18_944_522  # figure 9; without position embedding, class token and final norm
TRANSPOSED = (
    "The printed up-link of FedAvg and down-link of zeroth-order FL are swapped: "
    "section 3.1 and appendix A.3 agree only with 44.7 MB both ways for FedAvg, and with "
    "S · 4 bytes up, S · K · 4 bytes down for zeroth-order FL."
)


def is_zo(method: str) -> bool:
    """Say whether a method of the groups memory and time is a ZO step.

    >>> is_zo("zo-by-1"), is_zo("backprop-least")
    (True, False)
    """
    return method.split("-", maxsplit=1)[0] == "zo"


def batches_in_round(method: str, batch: int) -> int | None:
    """Count the batches that a client of the paper works through in one round.

    A ZO client evaluates S directions over its whole set, a FedAvg client takes three epochs.

    Args:
        method: of the groups memory and time.
        batch: images of a batch.

    Returns:
        How often it evaluates one direction on a batch, or takes a step of backprop on one; None
        for inference, which has no round.

    >>> batches_in_round("zo", 64), batches_in_round("fedavg", 64)
    (45, 45)
    """
    if method == "inference":
        return None
    passes = DIRECTIONS if is_zo(method) else LOCAL_EPOCHS
    return passes * math.ceil(CLIENT_IMAGES / batch)
