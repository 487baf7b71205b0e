from __future__ import annotations

import pytest
import torch
from torch import nn

import devices
from bench.step_variants import NotAdmitted
from bench.workloads.low_memory_steps import LOW_MEMORY_STEPS
from bench.workloads.steps import STEP_METHODS, bind_step, measure_tensor_peaks
from bench.workloads.tensors_alive_at_peak import tensors_alive_at_peak
from devices.tensor_memory import track_tensors
from devices.tensor_peak import TensorPeak
from zo_core.loss.module_loss import mean_loss

ITEMS, INPUTS, HIDDEN, CLASSES = 16, 64, 32, 10
WEIGHTS = 4 * (INPUTS * HIDDEN + HIDDEN * CLASSES)
DATA = 4 * ITEMS * INPUTS + 8 * ITEMS  # inputs in float32, targets in int64
HIDDEN_MAP = 4 * ITEMS * HIDDEN


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(INPUTS, HIDDEN, bias=False), nn.ReLU(), nn.Linear(HIDDEN, CLASSES, bias=False)
    )


def data(items: int = ITEMS) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(items, INPUTS), torch.zeros(items, dtype=torch.long)


def peaks_of(
    model: str, methods: list[str], batch: int, images: int | None = None
) -> dict[str, TensorPeak]:
    found = measure_tensor_peaks(model, methods, batch, images)
    return {method: peak for method, peak in found.items() if isinstance(peak, TensorPeak)}


def tracked(method: str, items: int = ITEMS, micro_batch: int = ITEMS) -> TensorPeak:
    module, (x, y) = mlp(), data(items)
    step = bind_step(module, x, y, method, micro_batch=micro_batch)
    with track_tensors(parameters=module.parameters(), existing=[x, y]) as tracker:
        step()
    return tracker.result()


@pytest.mark.parametrize("method", ["inference", "zo"])
def test_a_forward_holds_two_maps(method: str) -> None:
    assert tracked(method).peak_bytes == WEIGHTS + DATA + 2 * HIDDEN_MAP


def test_backprop_ends_with_all_gradients_and_one_maps_gradient() -> None:
    # the loss and the sum of its class weights are two more floats
    assert tracked("fedavg").peak_bytes == WEIGHTS + DATA + WEIGHTS + HIDDEN_MAP + 2 * 4


@pytest.mark.parametrize("method", STEP_METHODS)
def test_micro_batches_need_as_much_as_one_of_them(method: str) -> None:
    whole, parts = tracked(method), tracked(method, items=5 * ITEMS)
    sums = 0 if method == "fedavg" else 3 * 8  # sums so far in float64, whatever their number
    assert parts.peak_above_baseline_bytes == whole.peak_above_baseline_bytes + sums
    more = tracked(method, items=9 * ITEMS)
    assert more.peak_above_baseline_bytes == parts.peak_above_baseline_bytes


def test_a_whole_set_is_held_and_costs_the_step_nothing() -> None:
    few, many = (peaks_of("small_resnet", ["zo"], 4, n)["zo"] for n in (12, 40))
    assert many.baseline_bytes - few.baseline_bytes == 28 * (4 * 3 * 32 * 32 + 8)
    assert many.peak_above_baseline_bytes == few.peak_above_baseline_bytes


def test_a_low_memory_step_holds_less_than_its_plain_one() -> None:
    found = peaks_of("small_resnet", [*LOW_MEMORY_STEPS, *STEP_METHODS], 16)
    peaks = {method: peak.peak_bytes for method, peak in found.items()}
    for method in LOW_MEMORY_STEPS:
        plain = "zo" if method.startswith("zo") else "fedavg"
        assert peaks[method] < peaks[plain], method
        weights = {found[m].by_category["parameter"] for m in (method, plain)}
        assert len(weights) == 1


def test_a_method_that_the_layers_do_not_admit_is_told_from_the_others() -> None:
    found = measure_tensor_peaks("torchvision:resnet18@3x32x32", ["backprop-least", "zo-by-1"], 2)
    refused, peak = found["backprop-least"], found["zo-by-1"]
    assert isinstance(refused, NotAdmitted)
    assert "BatchNorm" in refused.error
    assert isinstance(peak, TensorPeak)
    assert peak.peak_bytes > 0


def test_a_zo_step_in_micro_batches_takes_the_whole_sets_step() -> None:
    torch.manual_seed(0)
    module, other = mlp(), mlp()
    other.load_state_dict(module.state_dict())
    x, y = torch.randn(24, INPUTS), torch.randint(CLASSES, (24,))
    for each, micro_batch in ((module, 24), (other, 8)):
        bind_step(each, x, y, "zo", micro_batch=micro_batch)()
    difference = mean_loss(module, x, y) - mean_loss(other, x, y)
    assert abs(difference) < 1e-5


def test_a_step_of_the_suite_needs_no_more_tensors_by_zo_than_by_inference() -> None:
    found = peaks_of("small_resnet", list(STEP_METHODS), 8)
    alone = {m: peaks_of("small_resnet", [m], 8)[m] for m in STEP_METHODS}
    assert found == alone  # what one method leaves behind does not count against the next
    peaks = {method: peak.peak_bytes for method, peak in found.items()}
    assert peaks["zo"] <= 1.02 * peaks["inference"]
    assert peaks["fedavg"] > 1.5 * peaks["zo"]


@pytest.mark.filterwarnings("ignore::UserWarning:torch.profiler")  # torch 2.11 warns of itself
def test_the_tensors_alive_account_for_all_activations_at_the_peak() -> None:
    statistics = 2 * 4 * 8 * 8  # a group norm's means and deviations, 8 groups of 8 items
    for method, uncounted in (("zo", statistics), ("fedavg", 16)):  # backprop saves them
        alive = tensors_alive_at_peak("small_resnet", method, 8)
        activations = alive.tensors.by_category["activation"]
        assert 0 <= activations - alive.layer_outputs - alive.saved <= uncounted
        assert alive.allocator_above_baseline >= alive.tensors.peak_above_baseline_bytes


@pytest.mark.process
def test_a_training_process_loads_no_library_that_it_does_not_need() -> None:
    run = devices.run_isolated("bench_children:heavy_imports_of_a_training")
    assert run.status == "ok", run.error
    assert run.value == []


@pytest.mark.slow
@pytest.mark.process
def test_a_measured_process_holds_no_library_that_it_does_not_need() -> None:
    for method in ("zo", "fedavg", "backprop-layerwise"):
        run = devices.run_isolated("bench_children:heavy_imports_of_a_step", method)
        assert run.status == "ok", run.error
        assert run.value == []
