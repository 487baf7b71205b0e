"""What a whole training run is: the choices that all methods share, and one method's own options.

Defaults are the paper's where it has one (ZOWarmUp, arXiv 2509.03503, sections 4 and A.5) and this
project's where it has none; each comment says which.  :func:`zo_core.algorithms.train_config`
builds a config from plain names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zo_core.options import Options, choice, count, declared, flag, rate, require, share, text

PRECISIONS = ("fp32", "tf32", "fp16", "bf16")  # see zo_core.loss.precision
FORWARDS = ("contiguous", "channels_last", "native", "native-channels_last", "compiled", "auto")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Options):
    """Data, model and schedule of every method, with the options of the one that is trained.

    Raises:
        ValueError: a field is out of its range; the message names it.
    """

    options: Options  # the algorithm's own

    algorithm: str = text(
        "zowarmup", "training algorithm, see docs/training.md, or package.module:function"
    )
    dataset: str = text(
        "digits",
        "data set, see docs/data.md, FILE.npz, a folder of images, or package.module:factory",
    )
    model: str = text(
        "cnn",
        "model that is trained: NAME, torchvision:NAME, timm:NAME, hf:FOLDER, or "
        "package.module:factory",
    )
    # ours; the paper: batch for FedAvg, group for FedAdam
    norm: str = text("group", "normalisation layers of the model: group or batch")
    criterion: str = text("cross-entropy", "loss: cross-entropy, mse, or package.module:function")
    init: str | None = text(
        None,
        "file with the weights to start from, safetensors or a state_dict",
        none="fresh ones",
    )
    run_seed: int = count(0, "seed of everything random in the run", least=0, most=(1 << 64) - 1)

    clients: int = count(50, "number of clients")  # paper
    high_share: float = share(  # paper: 0.1 .. 0.9
        0.1, "share of high-resource clients, which can run backprop"
    )
    alpha: float = rate(  # paper
        0.1, "Dirichlet concentration of the labels; lower is less balanced"
    )
    # implied by the paper's 900 of 1,000 images
    holdout_share: float = share(
        0.1, "share of its items that each client holds out for evaluation", zero=True
    )

    rounds: int = count(400, "number of rounds, all phases together")  # paper 500
    pivot: int = count(  # paper 200
        100, "number of warm-up rounds, for methods with a warm-up", least=0
    )
    # paper figure 2: 0.2 K
    warmup_cohort: int = count(10, "maximum number of clients per round of local training")
    # None as in paper A.5
    zo_cohort: int | None = count(
        None, "number of clients per round of zeroth-order training", none="all clients"
    )
    micro_batch: int | None = count(
        None,
        "items per forward of zeroth-order steps and of accumulated backprop",
        none="all items at once",
    )
    eval_every: int = count(20, "number of rounds between evaluations")
    # see zo_core.loss.forward_mode; auto: a measured trial
    forward: str = choice(
        "contiguous",
        FORWARDS,
        "memory format and compilation of forwards; auto: the fastest in a short trial",
    )
    precision: str = choice(
        "fp32", PRECISIONS, "compute dtype of forwards; backprop runs in fp32 or tf32"
    )
    force: bool = flag(False, "train even if the measured noise of the scalars exceeds 10 %")

    def check(self) -> None:
        """Check what depends on the number of rounds and of clients."""
        require(self.pivot <= self.rounds, "pivot", f"must be in [0, {self.rounds}]", self.pivot)
        for name in ("warmup_cohort", "zo_cohort"):
            value = getattr(self, name)
            rule = f"must be at most the number of clients, {self.clients}"
            require(value is None or value <= self.clients, name, rule, value)

    def to_json(self) -> dict[str, Any]:
        """Return all fields and the algorithm's options as one flat object of plain JSON data."""
        return values_of(self) | values_of(self.options)


def values_of(options: Options) -> dict[str, Any]:
    """Return options by name."""
    return {each.name: getattr(options, each.name) for each in declared(type(options))}
