"""One config for a whole training run: every choice the paper leaves open is a field of it.

Defaults are the paper's where it has one (ZOWarmUp, arXiv 2509.03503, sections 4 and A.5) and this
project's where it has none; each comment says which.  Learning rates of the defaults suit the
digits, and were chosen on hold-outs (docs/training.md).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zo_core.kernels import DISTRIBUTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How to train.

    Raises:
        ValueError: a field is out of its range; the message names it.
    """

    algorithm: str = "zowarmup"  # a name in ALGORITHMS
    dataset: str = "digits"  # a name in DATASETS
    model: str = "cnn"  # a name in MODELS
    norm: str = "group"  # ours; the paper: batch for FedAvg, group for FedAdam
    run_seed: int = 0  # [0, 2^64); everything random follows from it

    clients: int = 50  # paper
    high_share: float = 0.1  # share of clients that can do backprop; paper: 0.1 .. 0.9
    alpha: float = 0.1  # Dirichlet concentration of labels; paper
    holdout_share: float = 0.1  # implied by the paper's 900 of 1,000 images

    rounds: int = 400  # of all phases; paper 500
    pivot: int = 100  # rounds of warm-up; paper 200
    warmup_cohort: int = 10  # clients a round, at most; paper figure 2: 0.2 K
    zo_cohort: int = 50  # clients a round; paper A.5: everyone

    batch_size: int = 64  # of warm-up; paper
    local_epochs: int = 3  # of warm-up; paper
    client_lr: float = 0.1  # warm-up; tuned
    server_lr: float = 1.0  # warm-up

    directions: int = 3  # S; paper
    epsilon: float = 1e-4  # paper
    tau: float = 0.75  # paper
    literal_tau: bool = True  # the step scales with tau^2, as printed
    average: Literal["mean", "sum"] = "mean"  # over a round's S * |Q| directions; Algorithm 1: sum
    weighted: bool = False  # weigh scalars by samples; paper: no
    grid: bool = True  # exact restore; False is plain fp32
    distribution: str = "rademacher"  # paper; a grid admits no other
    zo_client_lr: float = 1.0  # ours: the product of the two counts
    zo_server_lr: float = 0.02  # tuned
    micro_batch: int | None = None  # items a forward in phase two; None: the whole client set

    eval_every: int = 20  # rounds between evaluations

    def __post_init__(self) -> None:
        for name in (
            "clients",
            "rounds",
            "warmup_cohort",
            "zo_cohort",
            "batch_size",
            "local_epochs",
            "directions",
            "eval_every",
        ):
            _require(getattr(self, name) >= 1, name, "must be >= 1", getattr(self, name))
        for name in (
            "client_lr",
            "server_lr",
            "epsilon",
            "tau",
            "zo_client_lr",
            "zo_server_lr",
            "alpha",
        ):
            value = getattr(self, name)
            _require(value > 0 and math.isfinite(value), name, "must be > 0 and finite", value)
        _require(
            0 <= self.pivot <= self.rounds, "pivot", f"must be in [0, {self.rounds}]", self.pivot
        )
        _require(self.directions < 1 << 16, "directions", "must be below 2^16", self.directions)
        _require(
            0 <= self.holdout_share < 1, "holdout_share", "must be in [0, 1)", self.holdout_share
        )
        _require(
            self.distribution in DISTRIBUTIONS,
            "distribution",
            f"must be one of {', '.join(DISTRIBUTIONS)}",
            self.distribution,
        )
        _require(0 < self.high_share < 1, "high_share", "must be in (0, 1)", self.high_share)
        for name in ("warmup_cohort", "zo_cohort"):
            _require(
                getattr(self, name) <= self.clients,
                name,
                f"must be at most the number of clients, {self.clients}",
                getattr(self, name),
            )
        _require(0 <= self.run_seed < 1 << 64, "run_seed", "must be in [0, 2^64)", self.run_seed)
        _require(self.average in ("mean", "sum"), "average", "must be mean or sum", self.average)
        _require(
            not (self.average == "sum" and self.weighted),
            "weighted",
            "goes with average='mean' alone",
            self.weighted,
        )
        _require(
            not self.grid or self.distribution == "rademacher",
            "distribution",
            "must be rademacher on a grid (set grid=False)",
            self.distribution,
        )
        _require(
            self.micro_batch is None or self.micro_batch >= 1,
            "micro_batch",
            "must be >= 1 or None",
            self.micro_batch,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON data."""
        return asdict(self)


def _require(holds: bool, name: str, rule: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name} {rule}, got {value}")
