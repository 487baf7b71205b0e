"""Peaks of tensor storage against counts by hand, in bytes, exactly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

from devices.tensor_memory import TensorTracker, track_tensors

FLOAT = 4
BATCH, INPUT, HIDDEN, OUTPUT = 8, 16, 32, 4

X = BATCH * INPUT * FLOAT
HID = BATCH * HIDDEN * FLOAT  # one hidden activation, or its gradient
Y = BATCH * OUTPUT * FLOAT
W1, B1 = INPUT * HIDDEN * FLOAT, HIDDEN * FLOAT
W2, B2 = HIDDEN * OUTPUT * FLOAT, OUTPUT * FLOAT
PARAMETERS = W1 + B1 + W2 + B2


@pytest.fixture
def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(INPUT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, OUTPUT))


@pytest.fixture
def x() -> torch.Tensor:
    return torch.ones(BATCH, INPUT)


def above(tracker: TensorTracker) -> int:
    return tracker.result().peak_above_baseline_bytes


def test_a_region_without_tensors_has_no_peak() -> None:
    with track_tensors() as tracker:
        pass

    result = tracker.result()
    assert (result.baseline_bytes, result.peak_bytes, result.ignored_bytes) == (0, 0, 0)


def test_a_freed_temporary_counts_in_the_peak_and_not_after_it() -> None:
    with track_tensors() as tracker:
        first = torch.empty(1000)
        del first
        second = torch.empty(600)
        third = torch.empty(300)
        del second, third

    assert above(tracker) == 1000 * FLOAT


def test_tensors_that_live_together_add_up() -> None:
    with track_tensors() as tracker:
        kept = [torch.empty(1000), torch.empty(600)]
        kept.clear()

    assert above(tracker) == 1600 * FLOAT


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float64])
def test_bytes_are_elements_times_their_size(size: int, dtype: torch.dtype) -> None:
    with track_tensors() as tracker:
        _ = torch.empty(size, dtype=dtype)

    assert above(tracker) == size * dtype.itemsize


def test_in_place_operations_and_views_count_once() -> None:
    with track_tensors() as tracker:
        t = torch.zeros(1000)
        t.add_(1.0)
        view = t.view(10, 100)[2:5].t()
        view.mul_(2.0)
        torch.add(t, 1.0, out=t)

    assert above(tracker) == 1000 * FLOAT


def test_a_storage_lives_as_long_as_its_last_view() -> None:
    with track_tensors() as tracker:
        t = torch.zeros(1000)
        view = t[:1]
        del t
        other = torch.zeros(500)
        del view
        last = torch.zeros(700)
        del other, last

    assert above(tracker) == 1500 * FLOAT


def test_an_in_place_operation_on_a_tensor_given_as_existing_adds_nothing() -> None:
    weight = torch.zeros(1000)

    with track_tensors(existing=[weight]) as tracker:
        weight.add_(1.0)
        weight.view(10, 100).mul_(2.0)

    assert (tracker.result().baseline_bytes, tracker.result().peak_bytes) == (4000, 4000)


def test_an_existing_tensor_that_is_not_given_is_ignored_and_told() -> None:
    stranger = torch.zeros(1000)

    with track_tensors() as tracker:
        stranger.add_(1.0)
        made = stranger + 1.0
        del made

    assert above(tracker) == 1000 * FLOAT
    assert tracker.result().ignored_bytes == 1000 * FLOAT


def test_a_tensor_made_of_python_numbers_counts() -> None:
    with track_tensors() as tracker:
        t = torch.tensor([1.0, 2.0, 3.0])
        _ = t + 1.0

    assert above(tracker) == 6 * FLOAT
    assert tracker.result().ignored_bytes == 0


def test_a_storage_that_grows_is_counted_at_its_new_size() -> None:
    with track_tensors() as tracker:
        t = torch.empty(100)
        t.resize_(1000)

    assert above(tracker) == 1000 * FLOAT


def test_tied_parameters_count_once(model: nn.Sequential) -> None:
    weight = model[0].weight

    alias = nn.Parameter(weight.detach().t())

    with track_tensors(parameters=[weight, weight, alias]) as tracker:
        pass

    assert tracker.result().baseline_bytes == W1


def test_the_forward_of_an_mlp_without_gradients(model: nn.Sequential, x: torch.Tensor) -> None:
    with track_tensors(parameters=model.parameters(), existing=[x]) as tracker, torch.no_grad():
        model(x)

    # The largest moment: the first layer's output and the ReLU's.
    assert tracker.result().baseline_bytes == PARAMETERS + X
    assert above(tracker) == HID + HID


def test_the_forward_of_an_mlp_keeps_what_backward_needs(
    model: nn.Sequential, x: torch.Tensor
) -> None:
    with track_tensors(parameters=model.parameters(), existing=[x]) as tracker:
        y = model(x)
        # Left: the ReLU's output, which its own and the next layer's backward share, and y.
        extra = torch.empty(10_000)
        del y, extra

    assert above(tracker) == HID + Y + 10_000 * FLOAT


def test_the_backward_of_an_mlp(model: nn.Sequential, x: torch.Tensor) -> None:
    with track_tensors(parameters=model.parameters(), existing=[x]) as tracker:
        y = model(x)
        loss = y.sum()
        loss.backward()

    # The largest moment: the first layer's weight gradient is made. Alive besides: y, the loss
    # and the one that backward starts from, the gradient of the first layer's output, and all
    # parameters' gradients. The ReLU's output and its gradient are gone by then.
    result = tracker.result()
    scalars = FLOAT + FLOAT
    assert result.peak_bytes == PARAMETERS + X + Y + scalars + HID + PARAMETERS
    assert result.by_category == {
        "parameter": PARAMETERS,
        "gradient": PARAMETERS,
        "activation": Y + scalars,
        "activation gradient": HID,
        "optimiser": 0,
        "perturbation": 0,
        "other": X,
    }


def test_backward_with_a_large_batch_peaks_where_the_relu_is_undone(model: nn.Sequential) -> None:
    batch = 1000
    hid, y_bytes = batch * HIDDEN * FLOAT, batch * OUTPUT * FLOAT
    x = torch.ones(batch, INPUT)

    with track_tensors(parameters=model.parameters(), existing=[x]) as tracker:
        y = model(x)
        loss = y.sum()
        loss.backward()

    # ReLU's output, its gradient and the result; the second layer's gradients exist already.
    result = tracker.result()
    assert result.by_category["activation"] == hid + y_bytes + 2 * FLOAT
    assert result.by_category["activation gradient"] == 2 * hid
    assert result.by_category["gradient"] == W2 + B2
    assert result.peak_bytes == sum(result.by_category.values())


def test_gradients_that_exist_are_baseline_and_accumulating_into_them_adds_none(
    model: nn.Sequential, x: torch.Tensor
) -> None:
    model(x).sum().backward()

    with track_tensors(parameters=model.parameters(), existing=[x]) as tracker:
        loss = model(x).sum()
        loss.backward()

    result = tracker.result()
    assert result.baseline_bytes == 2 * PARAMETERS + X
    # New gradients are temporaries now, added to the old ones in place and freed. The largest
    # moment: the first layer has made both of its own, from the gradient of its output.
    assert result.by_category["gradient"] == PARAMETERS
    assert result.by_category["activation gradient"] == HID + W1 + B1
    assert result.peak_above_baseline_bytes == 2 * FLOAT + HID + W1 + B1


def test_the_optimisers_state_is_counted_in_its_context(
    model: nn.Sequential, x: torch.Tensor
) -> None:
    momentum = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(x).sum().backward()

    with (
        track_tensors(parameters=model.parameters()) as tracker,
        tracker.category("optimiser"),
    ):
        momentum.step()

    assert tracker.result().by_category["optimiser"] == PARAMETERS


def test_a_zo_step_peaks_where_inference_does(x: torch.Tensor) -> None:
    weight = torch.ones(INPUT, HIDDEN)

    def forward() -> float:
        return (x @ weight).relu().sum().item()

    def step() -> None:
        for scale in (1.0, -2.0, 1.0):
            with tracker.category("perturbation"):
                for row in weight:  # a direction of one row at a time
                    row.add_(torch.ones(HIDDEN), alpha=scale)
            forward()

    with track_tensors(parameters=[weight], existing=[x]) as tracker:
        forward()
    inference = tracker.result()
    with track_tensors(parameters=[weight], existing=[x]) as tracker:
        step()
    zo = tracker.result()

    assert inference.peak_above_baseline_bytes == HID + HID
    assert zo.peak_bytes == inference.peak_bytes


def test_the_direction_is_counted_as_perturbation() -> None:
    weight = torch.zeros(1000)

    with track_tensors(parameters=[weight]) as tracker, tracker.category("perturbation"):
        weight.add_(torch.ones(1000), alpha=0.1)

    assert tracker.result().by_category["perturbation"] == 1000 * FLOAT


def test_what_a_checkpoint_recomputes_is_an_activation(
    model: nn.Sequential, x: torch.Tensor
) -> None:
    batch = torch.ones(1000, INPUT)
    hid = 1000 * HIDDEN * FLOAT

    with track_tensors(parameters=model.parameters(), existing=[batch]) as tracker:
        loss = checkpoint(model, batch, use_reentrant=False).sum()
        loss.backward()

    assert tracker.result().by_category["activation"] >= hid
    assert tracker.result().by_category["activation gradient"] == 2 * hid


def test_meta_tensors_give_the_peak_without_the_memory() -> None:
    big = nn.Linear(100_000, 100_000, device="meta")
    batch = torch.empty(4, 100_000, device="meta")

    with track_tensors(parameters=big.parameters(), existing=[batch]) as tracker:
        big(batch)

    assert tracker.result().baseline_bytes == (100_000 * 100_000 + 100_000 + 400_000) * FLOAT
    assert above(tracker) == 400_000 * FLOAT


def test_only_the_asked_device_is_counted() -> None:
    with track_tensors(device_type="meta") as tracker:
        _ = torch.empty(1000)
        _ = torch.empty(500, device="meta")

    assert above(tracker) == 500 * FLOAT


def test_an_exception_leaves_the_peak_and_no_hooks(model: nn.Sequential, x: torch.Tensor) -> None:
    def region() -> None:
        with track_tensors(parameters=model.parameters(), existing=[x]) as tracker:
            trackers.append(tracker)
            torch.empty(1000)
            raise KeyError("from the region")

    trackers: list[TensorTracker] = []
    with pytest.raises(KeyError):
        region()

    [tracker] = trackers
    assert above(tracker) == 1000 * FLOAT
    assert all(not weight._post_accumulate_grad_hooks for weight in model.parameters())


def test_an_unknown_category_names_the_known_ones() -> None:
    with (
        track_tensors() as tracker,
        pytest.raises(ValueError, match=r"one of parameter, .* got 'weights'"),
        tracker.category("weights"),
    ):
        pass


def scores_in_parts(x: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(x, torch.zeros(len(x), dtype=torch.long), reduction="none")


def normalised(x: torch.Tensor) -> torch.Tensor:
    return nn.functional.instance_norm(x.view(1, *x.shape)).sum()


def attended(x: torch.Tensor) -> torch.Tensor:
    attend = nn.functional.scaled_dot_product_attention
    mask = torch.zeros(len(x), len(x))
    return attend(x, x, x, attn_mask=mask).sum()


def multiplied(x: torch.Tensor) -> torch.Tensor:
    return torch.matmul(x.t(), x).sum() + torch.tensordot(x, x, dims=2)


@pytest.mark.parametrize(
    ("composite", "at_least"),
    [
        (scores_in_parts, 512 * 2000),  # log-softmax
        (normalised, 512 * 2000),  # the normalised copy
        (attended, 512 * 512),  # the mask
        (multiplied, 2000 * 2000),
    ],
)
def test_what_a_composite_operator_makes_inside_counts_the_same_with_gradients_and_without(
    composite: Callable[[torch.Tensor], torch.Tensor], at_least: int
) -> None:
    x = torch.randn(512, 2000)
    peaks = []
    for mode in (torch.inference_mode, torch.no_grad, torch.enable_grad):
        with track_tensors(existing=[x]) as tracker, mode():
            composite(x)
        peaks.append(above(tracker))

    assert peaks[0] == peaks[1] == peaks[2]
    assert peaks[0] >= at_least * FLOAT


def test_another_tensor_over_counted_memory_is_not_counted_again() -> None:
    weight = torch.ones(1000)
    with track_tensors(parameters=[weight]) as tracker:
        for _ in range(3):
            torch.from_numpy(weight.numpy())[10:].add_(1.0)
        copied = torch.from_numpy(weight.numpy().copy())[10:].clone()
    result = tracker.result()
    assert copied.numel() == 990
    assert result.peak_above_baseline_bytes < 2 * 4 * 1000
    assert result.by_category["parameter"] == 4 * 1000


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of torch's own tangents
def test_a_tangent_that_is_zero_takes_no_memory() -> None:
    weight, x = torch.ones(10, 1000), torch.ones(4, 1000)
    with track_tensors(parameters=[weight]) as tracker, forward_ad.dual_level():
        dual = forward_ad.make_dual(weight, torch.ones_like(weight))
        loss = torch.nn.functional.cross_entropy(x @ dual.T, torch.arange(4))
        assert forward_ad.unpack_dual(loss).tangent is not None
    assert tracker.result().peak_above_baseline_bytes >= 10 * 1000 * FLOAT
