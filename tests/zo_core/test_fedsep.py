"""FedSep: three clients by hand, and what a sketch can and cannot carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from parabola import DIM, Parabola, half_square

from zo_core.algorithms.baselines.fedsep import FedSep, Sketch, SketchedChange
from zo_core.method import ClientData, RoundContext
from zo_core.payloads.core import Payload
from zo_core.replica import Replica

CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1, 2), samples=(1, 1, 2))
BY_HAND = Sketch(  # x = (y0 - y2, y1 + y3)
    buckets=np.array([0, 1, 0, 1]),
    signs=np.array([1, 1, -1, 1], np.float32),
    sizes=np.array([2, 2], np.float32),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand(FedSep):
    def sketch(self, replica: Replica, round_index: int) -> Sketch:
        return BY_HAND


def fields(**changes: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {"client_lr": 0.5, "server_lr": 1.0, "local_epochs": 1}
    return {**chosen, "batch_size": 4, "compression": 2, "run_seed": 1, **changes}


def sent(slot: int, samples: int, *sketch: float) -> SketchedChange:
    return SketchedChange(
        run_id=9,
        round_index=4,
        slot=slot,
        samples=samples,
        sketch=np.array(sketch, np.float32),
        buffers=np.empty(0, np.float32),
    )


def test_three_clients_by_hand() -> None:
    """Sketches (4, 0), (0, 8), (2, 4) with 1, 1 and 2 items: mean (2, 4), and each weight has half
    of its bucket's.
    """
    replica, other = (Replica([np.ones(4, np.float32)]) for _ in range(2))
    updates = [sent(0, 1, 4, 0), sent(1, 1, 0, 8), sent(2, 2, 2, 4)]
    result, _ = ByHand(**fields()).server_result(replica, updates, CONTEXT)
    assert isinstance(result, SketchedChange)
    assert result.sketch.tolist() == [2.0, 4.0]
    assert replica.values().tolist() == [2.0, 3.0, 0.0, 3.0]
    ByHand(**fields()).apply_(other, Payload.decode(result.encode()), CONTEXT)
    assert other.digest() == replica.digest()


def test_encoding_undoes_decoding_and_decoding_projects() -> None:
    rng = np.random.default_rng(0)
    sketch = Sketch.of(101, 4, run_seed=3, round_index=5)
    assert sketch.sizes.size == 26
    assert sketch.sizes.max() - sketch.sizes.min() <= 1
    x, y = rng.normal(size=26).astype(np.float32), rng.normal(size=101).astype(np.float32)
    assert np.allclose(sketch.encode(sketch.decode(x)), x, atol=1e-5)
    near = sketch.decode(sketch.encode(y))
    assert np.allclose(sketch.decode(sketch.encode(near)), near, atol=1e-5)
    assert float((y - near) @ near) == pytest.approx(0.0, abs=1e-4)  # none that fits is nearer


def test_a_client_moves_along_the_buckets_only_and_sends_all_of_it() -> None:
    replica, method = Replica(Parabola()), FedSep(**fields(criterion=half_square))
    data = ClientData(slot=1, x=torch.rand(3, DIM), y=torch.zeros(3))
    update = method.client_update(replica, data, CONTEXT)
    assert isinstance(update, SketchedChange)
    assert len(update.encode()) == update.num_bytes == 32 + 4 * DIM // 2
    sketch = method.sketch(replica, 4)
    step = 0.5 * data.x.mean(dim=0).numpy()
    expected = sketch.decode(sketch.encode(step))
    assert np.allclose(method.change_of(replica, update), expected, atol=1e-6)


def test_a_sketch_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="have 2 numbers, got 3"):
        FedSep(**fields()).change_of(Replica([np.zeros(4, np.float32)]), sent(0, 1, 1, 2, 3))
