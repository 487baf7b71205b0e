"""Tensors and kernels' buffers, counted, against what torch's allocator gave out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from devices.tensor_memory import track_tensors
from devices.torch_allocator import peak_by_events

KIB = 1024
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "conv": (lambda: nn.Conv2d(32, 32, 3, padding=1), (8, 32, 32, 32)),
    "conv to more channels": (lambda: nn.Conv2d(32, 64, 3, padding=1), (8, 32, 32, 32)),
    "conv to fewer channels": (lambda: nn.Conv2d(64, 32, 1), (8, 64, 32, 32)),
    "pointwise, many": (lambda: nn.Conv2d(64, 32, 1), (16, 64, 32, 32)),
    "pointwise, strided": (lambda: nn.Conv2d(64, 64, 1, stride=2), (8, 64, 32, 32)),
    "strided": (lambda: nn.Conv2d(64, 64, 3, padding=1, stride=2), (8, 64, 32, 32)),
    "one small image": (lambda: nn.Conv2d(16, 64, 3, padding=1), (1, 16, 32, 32)),
    "one image": (lambda: nn.Conv2d(32, 64, 3, padding=1), (1, 32, 64, 64)),
    "one small row": (lambda: nn.Conv1d(8, 64, 5, padding=2), (1, 8, 2048)),
    "depthwise": (lambda: nn.Conv2d(64, 64, 3, padding=1, groups=64), (8, 64, 32, 32)),
    "grouped": (lambda: nn.Conv2d(64, 64, 3, padding=1, groups=4), (8, 64, 32, 32)),
    "dilated": (lambda: nn.Conv2d(32, 32, 3, padding=2, dilation=2), (8, 32, 32, 32)),
    "transposed": (lambda: nn.ConvTranspose2d(64, 32, 2, stride=2), (8, 64, 32, 32)),
    "1d": (lambda: nn.Conv1d(32, 32, 5, padding=2), (8, 32, 2048)),
    "3d": (lambda: nn.Conv3d(32, 32, 3, padding=1), (4, 32, 16, 16, 16)),
    "float64": (lambda: nn.Conv2d(32, 32, 3, padding=1).double(), (4, 32, 32, 32)),
    "linear": (lambda: nn.Linear(256, 1024), (512, 256)),
    "group norm": (lambda: nn.GroupNorm(8, 64), (8, 64, 32, 32)),
    "max pool": (lambda: nn.MaxPool2d(3, 1, 1), (8, 64, 32, 32)),
    "instance norm": (lambda: nn.InstanceNorm2d(64, affine=True), (8, 64, 32, 32)),
    "bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (8, 32, 32, 32)),
    "bilinear, large": (
        lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
        (2, 32, 40, 40),
    ),
    "nearest": (lambda: nn.Upsample(scale_factor=2, mode="nearest"), (8, 32, 32, 32)),
    "attention": (
        lambda: nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, batch_first=True),
        (2, 256, 64),
    ),
}


def inference(layer: nn.Module, x: torch.Tensor) -> None:
    with torch.inference_mode():
        layer.eval()(x)


def backprop(layer: nn.Module, x: torch.Tensor) -> None:
    layer.train()(x).square().sum().backward()
    layer.zero_grad()
    x.grad = None


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compute with one thread or two: torch chooses kernels by their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads", "slow_attention")
@pytest.mark.parametrize("step", [inference, backprop])
@pytest.mark.parametrize("name", LAYERS)
def test_the_count_is_what_the_allocator_gave_out(
    name: str, step: Callable[[nn.Module, torch.Tensor], None]
) -> None:
    make, shape = LAYERS[name]
    layer = make()
    dtype = next((p.dtype for p in layer.parameters()), torch.float32)
    x = torch.randn(shape, dtype=dtype, requires_grad=step is backprop)
    step(layer, x)  # what a library keeps from its first call on

    with track_tensors(parameters=layer.parameters(), existing=[x]) as tracker:
        step(layer, x)
    peak = tracker.result()
    counted = peak.with_buffers_bytes - peak.baseline_bytes
    given_out = peak_by_events(lambda: step(layer, x))

    assert counted == pytest.approx(given_out, rel=0.05, abs=192 * KIB)


@pytest.mark.parametrize(
    ("layers", "bidirectional", "hidden"), [(1, False, 128), (2, False, 128), (2, True, 64)]
)
def test_an_lstms_gates_are_counted_where_it_is_evaluated(
    layers: int, bidirectional: bool, hidden: int
) -> None:
    from bench.workloads.tensors_without_memory import count_without_memory

    lstm = nn.LSTM(64, hidden, layers, batch_first=True, bidirectional=bidirectional)
    x = torch.randn(8, 256, 64)
    inference(lstm, x)
    with track_tensors(parameters=lstm.parameters(), existing=[x]) as tracker:
        inference(lstm, x)
    peak = tracker.result()
    given_out = peak_by_events(lambda: inference(lstm, x))
    predicted = count_without_memory(lstm, (x,), lambda fake: inference(lstm, fake))

    counted = peak.with_buffers_bytes - peak.baseline_bytes
    assert counted == pytest.approx(given_out, rel=0.1, abs=192 * KIB)
    assert predicted.with_buffers_bytes - predicted.baseline_bytes == counted


@pytest.fixture
def slow_attention() -> object:
    """Switch torch's attention fast path off, as the engine does in every evaluation."""
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(True)
