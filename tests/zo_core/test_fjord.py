"""Ordered dropout: a step trains a prefix, at a width that the run seed fixes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from parabola import config
from torch import nn

from zo_core.algorithms import build_algorithm
from zo_core.algorithms.baselines.fjord import WIDTHS, ordered_dropout_step_
from zo_core.federation import Replica
from zo_core.first_order.sgd import sgd_step_
from zo_core.method import ClientData, RoundContext
from zo_core.models import build_model
from zo_core.models.narrow import narrow_tensors, narrowed
from zo_core.payloads.core import SubModel
from zo_core.philox import Purpose, random_words

pytestmark = pytest.mark.usefixtures("one_torch_thread")
CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1), samples=(12, 12))


def cnn() -> nn.Module:
    return build_model("cnn", in_channels=1, image_size=8, run_seed=3)


def images(items: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(items, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return x, torch.arange(items) % 10


@pytest.mark.parametrize("width", WIDTHS)
def test_a_step_is_sgds_on_the_prefix_and_leaves_the_rest(width: float) -> None:
    module, before, (x, y) = cnn(), [p.clone() for p in cnn().parameters()], images()
    alone = narrowed(module, width, scaled=False)
    sgd_step_(alone, x, y, lr=0.1)
    ordered_dropout_step_(module, x, y, lr=0.1, step=sgd_step_, widths=iter([width]))
    rows = zip(
        module.parameters(), alone.parameters(), before, narrow_tensors(cnn(), width), strict=True
    )
    for whole, part, old, tensor in rows:
        expected = old.clone()
        expected[tensor.index] = part
        assert torch.equal(whole, expected)


def method(**changes: Any) -> Any:
    return build_algorithm(config("fjord", **changes), (0,)).phases[0].method


def test_a_clients_widths_are_its_own_and_no_wider_than_it_holds() -> None:
    found = {}
    for slot in (0, 1):
        data = ClientData(slot=slot, x=torch.zeros(200, 1), y=torch.zeros(200))
        step = method().sgd_step(data, CONTEXT)
        found[slot] = list(step.keywords["widths"])
    assert len(found[0]) == 2 * 100  # epochs of batches of 2
    assert set(found[0]) == {0.25, 0.5, 1.0}
    assert set(found[1]) == {0.5, 1.0}  # of the half that it holds
    assert 50 < found[0].count(1.0) < 90
    assert found[0][:3] != found[1][:3] or found[0] != found[1]


def test_the_widths_words_are_those_of_their_own_purpose() -> None:
    words = random_words(1, Purpose.WIDTH, 4, a=4, b=0)
    drawn = [WIDTHS[int((float(word) + 0.5) * 2.0**-32 * 3)] for word in words]
    data = ClientData(slot=0, x=torch.zeros(8, 1), y=torch.zeros(8))
    step = method(local_epochs=1).sgd_step(data, CONTEXT)
    assert list(step.keywords["widths"]) == drawn


def test_a_low_resource_client_sends_half_the_channels_and_no_scaler_is_in_them() -> None:
    replica, (x, y) = Replica(cnn()), images()
    before = replica.values()
    update = method(batch_size=12).client_update(replica, ClientData(slot=1, x=x, y=y), CONTEXT)
    assert isinstance(update, SubModel)
    sizes = [int(np.prod(t.shape)) for t in narrow_tensors(cnn(), 0.5)]
    assert update.values.size == sum(sizes)
    assert update.labels.size == 0  # nothing is masked
    assert replica.values().tobytes() == before.tobytes()
    assert not any(m._forward_pre_hooks for m in narrowed(cnn(), 0.5, scaled=False).modules())
