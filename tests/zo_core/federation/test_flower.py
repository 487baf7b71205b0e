"""A run by Flower's deployment engine, on loopback, is the run in one process.

Needs the extra ``flower``, which the development install leaves out: it pins libraries lower than
this suite has them elsewhere, and takes some 300 MB.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from flower_run import NODES, ROUNDS, run_by_flower
from optional import needs

pytestmark = [needs("flwr"), pytest.mark.network, pytest.mark.process, pytest.mark.slow]


def test_a_run_by_flowers_deployment_engine_is_the_run_in_one_process(tmp_path: Path) -> None:
    from zo_core.algorithms import train_config
    from zo_core.data import load_dataset
    from zo_core.federation.simulation.training import Training

    outcome = run_by_flower(tmp_path)
    config = train_config(
        clients=NODES,
        high_share=0.5,
        rounds=ROUNDS,
        pivot=2,
        warmup_cohort=1,
        zo_cohort=NODES,
        local_epochs=1,
        forward="contiguous",
        run_seed=7,
    )
    assert outcome["reason"] is None
    assert outcome["rounds"] == ROUNDS
    assert outcome["refused"] == {}
    assert outcome["digest"] == Training(config, load_dataset("digits")).run().digest
