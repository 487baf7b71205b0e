"""Two rounds of a client without torch on an exported folder; prints the digest that they end at.

The scalars are the first argument's: given one list, every machine must end with one digest.  With
no list the client computes its own and prints it.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import numpy as np

from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
from zo_core.edge.load import load_replica
from zo_core.edge.manifest import read_manifest
from zo_core.method import ClientData, RoundContext
from zo_core.payloads.core import ScalarUpdate

ROUNDS, DIRECTIONS, ITEMS = 2, 3, 16


def main(folder: Path, scalars: str) -> None:
    replica, manifest = load_replica(folder), read_manifest(folder)
    rng = np.random.default_rng(7)
    x = rng.standard_normal((ITEMS, *manifest.input_shape), dtype=np.float32)
    client = ClientData(slot=0, x=x, y=rng.integers(0, manifest.num_classes, ITEMS))
    method = ZerothOrderStep(directions=DIRECTIONS, epsilon=1e-3, tau=0.75, lr=1e-2, micro_batch=8)
    given = json.loads(scalars) if scalars else [None] * ROUNDS
    computed = []
    for round_index in range(ROUNDS):
        context = RoundContext(
            run_seed=5, run_id=5, round_index=round_index, cohort=(0,), samples=(ITEMS,)
        )
        update = method.client_update(replica, client, context)
        assert isinstance(update, ScalarUpdate)
        computed.append(update.differences.tolist())
        differences = np.array(given[round_index] or computed[-1], np.float32)
        agreed = ScalarUpdate(
            run_id=5, round_index=round_index, slot=0, digest=update.digest, differences=differences
        )
        method.server_result(replica, [agreed], context)
    print(
        json.dumps(
            {
                "machine": platform.machine(),
                "numpy": np.__version__,
                "torch": "torch" in sys.modules,
                "digest": replica.digest().hex(),
                "scalars": computed,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
