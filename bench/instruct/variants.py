"""What the study compares, as training configs; every variant goes over each client's items once.

A round of one-step is one zeroth-order step over a client's whole shard; a round of FedKSeed is
one local step per item of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from zo_core.algorithms import train_config
from zo_core.config import TrainConfig

_LORA_RANK = 8  # of the variant whose adapters alone train
_EPSILON = 5e-4  # FedKSeed's authors' for their language models
_MICRO_BATCH = 16
COHORT: Final = 2
EVAL_EVERY: Final = 5  # rounds between points of a curve
_STEP: Final = {"algorithm": "mezo", "directions": 1}
_ZEROTH_ORDER: Final = {"epsilon": _EPSILON, "tau": 1.0, "micro_batch": _MICRO_BATCH}
_FEDAVG: Final = {"algorithm": "fedavg", "local_epochs": 1, "batch_size": 8}
# in the order in which they run, two side by side
VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "one-step": _STEP,
    "fedkseed": {"algorithm": "fedkseed", "directions": 1},
    "fedavg": _FEDAVG,
    "one-step-s3": _STEP | {"directions": 3},
    "one-step-lora": _STEP,
    "fedkseed-pro": {"algorithm": "fedkseed-pro", "directions": 1},
}


def variant_config(
    variant: str, *, model: str, lr: float, items: int, rounds: int, **shared: Any
) -> TrainConfig:
    """Build the config of one run.

    Args:
        variant: a name in VARIANTS.
        model: the language model's name, ``lm:SHAPE``.
        lr: the rate of its steps.
        items: training items of each client, which FedKSeed takes one local step for each.
        rounds: of the run.
        shared: other fields that all variants share.
    """
    fields: dict[str, Any] = dict(VARIANTS[variant])
    if variant == "fedavg":
        fields["client_lr"] = lr
    else:
        fields |= {**_ZEROTH_ORDER, "zo_server_lr": lr, "zo_cohort": COHORT}
    if fields["algorithm"].startswith("fedkseed"):
        fields["local_steps"] = items
    if variant.endswith("lora"):
        model = f"{model}:lora{_LORA_RANK}"
    return train_config(
        **fields,
        dataset="instructions",
        model=model,
        rounds=rounds,
        pivot=0,
        warmup_cohort=COHORT,
        eval_every=EVAL_EVERY,
        high_share=0.5,  # of no effect: all clients take part in each variant
        **shared,
    )
