"""One config for a whole training run: every choice the paper leaves open is a field of it.

Defaults are the paper's where it has one (ZOWarmUp, arXiv 2509.03503, sections 4 and A.5) and this
project's where it has none; each comment says which.  Learning rates of the defaults suit the
digits, and were chosen on hold-outs (docs/training.md).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from zo_core.estimators import estimator_named
from zo_core.first_order.memory_efficient_backprop import check_backprop
from zo_core.first_order.trainable_part import check_trained
from zo_core.first_order.uplink import UPLINKS
from zo_core.kernels import DISTRIBUTIONS
from zo_core.payloads.core import MAX_CANDIDATES


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
    zo_cohort: int | None = None  # clients a round; None: everyone, as in paper A.5

    batch_size: int = 64  # of warm-up; paper
    local_epochs: int = 3  # of warm-up; paper
    client_lr: float = 0.1  # warm-up; tuned
    server_lr: float = 1.0  # warm-up
    backprop: str = "plain"  # a name in BACKPROP: the same steps at less memory
    uplink: str = "dense"  # a name in UPLINKS: how FedAvg's clients send their change
    trained: str = "last-1"  # by backprop, where that is a part: last-N or bias-norm; ours

    directions: int = 3  # S; paper
    epsilon: float = 1e-4  # paper
    tau: float = 0.75  # paper
    estimator: str = "central"  # a name in ESTIMATORS; paper
    literal_tau: bool = True  # the step scales with tau^2, as printed
    average: Literal["mean", "sum"] = "mean"  # over a round's S * |Q| directions; Algorithm 1: sum
    weighted: bool = False  # weigh scalars by samples; paper: no
    grid: bool = True  # exact restore; False is plain fp32
    distribution: str = "rademacher"  # paper; a grid admits no other
    zo_client_lr: float = 1.0  # ours: the product of the two counts
    zo_server_lr: float = 0.02  # tuned
    micro_batch: int | None = None  # items a forward, in phase two and where backprop accumulates

    zo_share: float | None = None  # gamma of figure 2 in hi + lo; None: the ZO clients' share
    local_steps: int = 1  # T, a round of a ZO client, which divides its data by it; paper table 3
    candidates: int = 1024  # K of FedKSeed, at most 2^16; its authors' LLM runs

    adam_lr: float = 0.01  # server rate of the warm-up where that is FedAdam; ours
    zo_adam_lr: float = 0.001  # the same of phase two; ours
    adam_eps: float = 1e-3  # Reddi et al. 2021; the paper names none

    eval_every: int = 20  # rounds between evaluations
    forward: Literal[  # how forwards run, see zo_core.loss.forward_mode; auto: a measured trial
        "contiguous", "channels_last", "native", "native-channels_last", "auto"
    ] = "contiguous"

    def __post_init__(self) -> None:
        self._check_counts()
        self._check_rates_and_shares()
        self._check_choices()

    def _check_counts(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            _require(value is None or value >= 1, name, "must be >= 1", value)
        for name in ("warmup_cohort", "zo_cohort"):
            value = getattr(self, name)
            rule = f"must be at most the number of clients, {self.clients}"
            _require(value is None or value <= self.clients, name, rule, value)
        rule = f"must be in [0, {self.rounds}]"
        _require(0 <= self.pivot <= self.rounds, "pivot", rule, self.pivot)
        _require(self.directions < 1 << 16, "directions", "must be below 2^16", self.directions)
        most = ((1 << 16) - 1) // self.directions
        rule = f"must be at most {most}: a client sends fewer than 2^16 scalars"
        _require(self.local_steps <= most, "local_steps", rule, self.local_steps)
        most = MAX_CANDIDATES
        _require(self.candidates <= most, "candidates", f"must be <= {most}", self.candidates)
        _require(0 <= self.run_seed < 1 << 64, "run_seed", "must be in [0, 2^64)", self.run_seed)

    def _check_rates_and_shares(self) -> None:
        for name in _RATES:
            value = getattr(self, name)
            _require(0 < value < _LARGEST, name, "must be > 0 and finite in float32", value)
        _require(0 < self.high_share < 1, "high_share", "must be in (0, 1)", self.high_share)
        share = self.zo_share
        _require(share is None or 0 < share < 1, "zo_share", "must be in (0, 1)", share)
        held = self.holdout_share
        _require(0 <= held < 1, "holdout_share", "must be in [0, 1)", held)

    def _check_choices(self) -> None:
        rule = f"must be one of {', '.join(DISTRIBUTIONS)}"
        _require(self.distribution in DISTRIBUTIONS, "distribution", rule, self.distribution)
        exact = not self.grid or self.distribution == "rademacher"
        rule = "must be rademacher on a grid (set grid=False)"
        _require(exact, "distribution", rule, self.distribution)
        _require(self.average in ("mean", "sum"), "average", "must be mean or sum", self.average)
        one_weight = not (self.average == "sum" and self.weighted)
        _require(one_weight, "weighted", "goes with average='mean' alone", self.weighted)
        check_backprop(self.backprop, self.micro_batch)
        check_trained(self.trained)
        estimator_named(self.estimator, directions=self.directions)
        rule = f"must be one of {', '.join(UPLINKS)}"
        _require(self.uplink in UPLINKS, "uplink", rule, self.uplink)

    def require_grid(self, algorithm: str) -> None:
        """Refuse plain mode where an algorithm has none.

        Raises:
            ValueError: grid is False.
        """
        _require(self.grid, "grid", f"must be True for {algorithm}", self.grid)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON data."""
        return asdict(self)


_COUNTS = (
    *("clients", "rounds", "warmup_cohort", "zo_cohort", "batch_size", "local_epochs"),
    *("directions", "micro_batch", "eval_every", "local_steps", "candidates"),
)
_LARGEST = 2.0**127
_RATES = (
    *("alpha", "client_lr", "server_lr", "epsilon", "tau", "zo_client_lr", "zo_server_lr"),
    *("adam_lr", "zo_adam_lr", "adam_eps"),
)


def _require(holds: bool, name: str, rule: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name} {rule}, got {value}")
