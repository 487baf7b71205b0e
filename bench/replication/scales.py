"""What the cells of each scale are trained on, and for how long."""

from __future__ import annotations

from typing import Final

from bench.replication.spec import TableScale
from bench.sweeps.halving import Rung

_DIGITS: Final = {"dataset": "digits", "model": "cnn"}
_PIVOT: Final = 0.4  # 200 of 500 rounds

TABLE_SCALES: Final[dict[str, TableScale]] = {
    scale.name: scale
    for scale in (
        TableScale(
            name="smoke",
            base={**_DIGITS, "rounds": 40, "eval_every": 2},
            pivot_share=_PIVOT,
            rates="digits",
            runs=lambda paper: 1,
            splits=("10/90", "50/50"),
            note="One seed and a quarter of the schedule: that it runs, not what is true.",
        ),
        TableScale(
            name="default",
            base={**_DIGITS, "rounds": 60, "eval_every": 3},
            pivot_share=_PIVOT,
            rates="digits",
            runs=lambda paper: max(paper, 5),
        ),
        TableScale(
            name="laptop",
            base={
                **{"dataset": "cifar10", "model": "cnn", "rounds": 100, "eval_every": 5},
                # 300 of a client's 1,000 images, so that a cell takes minutes on one core; the
                # others are hold-outs
                **{"holdout_share": 0.7, "micro_batch": 256},
            },
            pivot_share=_PIVOT,
            rates="cifar10-small",
            runs=lambda paper: 3,
            splits=("10/90", "50/50", "90/10"),
        ),
        TableScale(
            name="paper",
            base={
                **{"dataset": "cifar10", "model": "resnet18", "norm": "batch", "rounds": 500},
                **{"eval_every": 25, "forward": "auto"},
            },
            pivot_share=_PIVOT,
            rates="cifar10-resnet18",
            runs=lambda paper: paper,
            checkpointed=True,
        ),
    )
}

RUNGS: Final = {  # of the learning-rate search
    "smoke": (Rung(candidates=3, rounds=4), Rung(candidates=1, rounds=10)),
    "default": (
        Rung(candidates=24, rounds=5),
        Rung(candidates=6, rounds=15),
        Rung(candidates=2, rounds=45),
    ),
    "laptop": (Rung(candidates=8, rounds=10), Rung(candidates=2, rounds=50)),
    # short runs: minutes for a stage and a split on a GPU that takes 1 to 2 s per round
    "paper": (Rung(candidates=12, rounds=5), Rung(candidates=3, rounds=20)),
}
