"""What a run costs, counted by hand beside what its record says."""

from __future__ import annotations

import pytest

from zo_core.algorithms import train_config
from zo_core.data import synthetic_blobs
from zo_core.federation.simulation.training import Training
from zo_core.models import count_parameters

pytestmark = pytest.mark.usefixtures("one_torch_thread")

CONFIG = train_config(
    dataset="synthetic",
    clients=5,
    high_share=0.4,
    holdout_share=0.1,
    warmup_cohort=2,
    zo_cohort=3,
    rounds=5,
    pivot=2,
    local_epochs=3,
    batch_size=7,
    directions=4,
    forward="contiguous",
    eval_every=5,
)
SHARD = 18  # 100 items over 5 clients, a tenth held out


def test_images_seconds_and_bytes_of_both_phases_are_those_counted_by_hand() -> None:
    run = Training(CONFIG, synthetic_blobs(train_items=100, test_items=10))
    record = run.run()
    # THEN each warm-up client takes its shard forward and backward once an epoch
    first, second = (record.passes_by_method[name] for name in ("fedavg", "zeroth-order"))
    assert first.forward_items == first.backward_items == 2 * 2 * 3 * SHARD  # rounds, clients, E
    # AND each client of phase two forward alone, twice a direction; evaluations do not count
    assert (second.forward_items, second.backward_items) == (3 * 3 * 2 * 4 * SHARD, 0)
    weights = 4 * count_parameters(run.replica.module)
    assert record.up_scalar_bytes == 2 * 2 * weights + 3 * 3 * 4 * 4
    result = 3 * 4 * 4  # bytes of a round's scalars, which go to everyone
    assert record.down_scalar_bytes == 2 * 2 * weights + 5 * weights + 3 * 5 * result
    assert record.up_scalar_bytes < record.up_payload_bytes
    assert record.down_scalar_bytes < record.down_payload_bytes
    assert set(record.seconds_by_method) == {"fedavg", "zeroth-order"}
    assert all(seconds > 0 for seconds in record.seconds_by_method.values())
