"""An evaluated forward runs the code that a training forward runs, and holds what is counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from devices.tensor_memory import track_tensors
from devices.torch_allocator import peak_by_events
from zo_core.loss.module_loss import evaluating, mean_loss

ITEMS, TOKENS, WIDTH, HEADS = 2, 512, 32, 4
SCORES = ITEMS * HEADS * TOKENS * TOKENS * 4  # bytes of the whole score matrix


class Pooled(nn.Module):
    """Scores of a sequence: a body, the mean over positions, a linear layer."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(WIDTH, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean(1))


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself, without its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        attended: torch.Tensor = self.attention(x, x, x, need_weights=False)[0]
        return attended


def layer() -> nn.Module:
    return nn.TransformerEncoderLayer(WIDTH, HEADS, 64, batch_first=True)


BODIES: dict[str, Callable[[], nn.Module]] = {
    "encoder": lambda: nn.TransformerEncoder(layer(), 2),
    "encoder layer": layer,
    "attention": SelfAttention,
}


@pytest.fixture(params=BODIES)
def model(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return Pooled(BODIES[request.param]())


@pytest.fixture
def data() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(ITEMS, TOKENS, WIDTH), torch.arange(ITEMS)


def test_a_forward_holds_what_is_counted_and_no_score_matrix(
    model: nn.Module, data: tuple[torch.Tensor, torch.Tensor]
) -> None:
    mean_loss(model, *data)
    with track_tensors(parameters=model.parameters(), existing=data) as tracker:
        mean_loss(model, *data)
    counted = tracker.result().peak_above_baseline_bytes
    given_out = peak_by_events(lambda: mean_loss(model, *data))

    assert given_out < SCORES / 4
    assert counted == pytest.approx(given_out, rel=0.05, abs=SCORES / 8)


def test_the_loss_without_gradients_is_that_with_gradients(
    model: nn.Module, data: tuple[torch.Tensor, torch.Tensor]
) -> None:
    x, y = data
    with evaluating(model):
        with_gradients = nn.functional.cross_entropy(model(x), y, reduction="none")
    assert mean_loss(model, x, y) == float(with_gradients.detach().sum(dtype=torch.float64)) / ITEMS


def fail() -> None:
    assert not torch.backends.mha.get_fastpath_enabled()
    raise KeyError


@pytest.mark.parametrize("enabled", [True, False])
def test_the_setting_outside_of_an_evaluation_stays_its_owners(
    monkeypatch: pytest.MonkeyPatch, enabled: bool
) -> None:
    monkeypatch.setattr(torch.backends.mha, "_is_fastpath_enabled", enabled)
    with pytest.raises(KeyError), evaluating(nn.Linear(1, 1)):
        fail()
    assert torch.backends.mha.get_fastpath_enabled() is enabled
