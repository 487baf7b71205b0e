"""What the frontier trains on a data set of files: every way to spend resources, once.

A baseline that trains whole networks, or parts of them, by FedAvg is taken from the registry.
"""

from __future__ import annotations

from typing import Any, Final

from bench.labels import label
from zo_core.algorithms.methods.fedavg import FedAvgOptions
from zo_core.algorithms.registry import ALGORITHMS

# 200 clients of 270 images each, so that a training is half a core-minute.  Rates are not searched
# for on these data: those that the search on the digits' hold-outs chose for the same network, ZO's
# a fifth of it, since a round has a fifth of the directions and the noise of a ZO step goes with
# rate / directions
FRONTIER_BASE: Final[dict[str, Any]] = {
    **{"model": "cnn", "clients": 200, "rounds": 30, "pivot": 12, "eval_every": 5},
    **{"warmup_cohort": 10, "zo_cohort": 10, "local_epochs": 2, "micro_batch": 128},
    **{"client_lr": 0.5, "zo_server_lr": 0.01},
}
FRONTIER_SPLIT: Final = "10/90"
FRONTIER_DATASETS: Final = ("fashion-mnist", "cifar10")  # the first whose files are there
_LISTED: Final[dict[str, dict[str, Any]]] = {
    "high-res-only": {"algorithm": "high-res-only"},
    "zowarmup": {"algorithm": "zowarmup"},
    "fedavg": {"algorithm": "fedavg"},
    "zowarmup-elastic": {"algorithm": "zowarmup-elastic"},
    "warmup-partial": {"algorithm": "warmup-partial"},
    # as many forwards as three central differences
    "zowarmup-fzoo": {
        **{"algorithm": "zowarmup", "estimator": "fzoo", "directions": 5},
        "zo_server_lr": 1e-6,  # as long a step as zowarmup's where the slope along z is 1
    },
    "zowarmup-forward": {"algorithm": "zowarmup", "estimator": "forward"},
    "fjord": {"algorithm": "fjord"},
    "heterofl": {"algorithm": "heterofl"},
    "warmup-bias-norm": {"algorithm": "warmup-partial", "trained": "bias-norm"},
    "warmup-last-2": {"algorithm": "warmup-partial", "trained": "last-2"},
    "mezo": {"algorithm": "mezo"},
    "zowarmup-hi-lo": {"algorithm": "zowarmup-hi-lo"},
    "zowarmup-fedkseed": {"algorithm": "zowarmup-fedkseed"},
}
# name -> how its config differs; in the order in which they are run
FRONTIER_VARIANTS: Final[dict[str, dict[str, Any]]] = _LISTED | {
    name: {"algorithm": name}
    for name, row in ALGORITHMS.items()
    if row.baseline and issubclass(row.options, FedAvgOptions) and name not in _LISTED
}


def label_of(variant: str) -> str:
    """Return the written name of a variant: the registry's, where it is an algorithm's."""
    row = ALGORITHMS.get(variant)
    return label(variant) if row is None else row.label
