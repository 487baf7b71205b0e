"""Each variant takes plain FedAvg's step, and holds less while it does."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch
from parabola import config
from torch import nn

from devices.tensor_memory import track_tensors
from devices.tensor_peak import TensorPeak
from zo_core.algorithms import build_algorithm, train_config
from zo_core.federation import Replica
from zo_core.first_order.activation_checkpointing import blocks, checkpointing
from zo_core.first_order.memory_efficient_backprop import BACKPROP, backprop_step
from zo_core.first_order.sgd import sgd_step_
from zo_core.method import ClientData, RoundContext
from zo_core.models import MODELS, ModelConfig

pytestmark = pytest.mark.usefixtures("one_torch_thread")
EFFICIENT = [name for name in BACKPROP if name != "plain"]
WHOLE = [name for name in EFFICIENT if not BACKPROP[name].accumulates]
SHAPES = {"cnn": (1, 8), "small_resnet": (3, 32), "resnet18": (3, 32), "vit": (3, 32)}


@cache
def built(name: str, norm: str) -> nn.Module:
    """Weights by torch's generator: the stream's take seconds for a large model."""
    channels, size = SHAPES[name]
    shape = ModelConfig(num_classes=10, in_channels=channels, image_size=size, norm=norm)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = MODELS[name](shape)
        for parameter in module.parameters():
            if parameter.ndim > 1 and not parameter.any():
                nn.init.normal_(parameter, std=0.02)  # a head of zeros passes no gradient on
    return module.train()


def model_of(name: str, norm: str = "group") -> nn.Module:
    return copy.deepcopy(built(name, norm))


def data_of(name: str, items: int) -> tuple[torch.Tensor, torch.Tensor]:
    channels, size = SHAPES[name]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(items, channels, size, size, generator=generator)
    return x, torch.randint(0, 10, (items,), generator=generator)


def flat(module: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def relative_error(ours: nn.Module, theirs: nn.Module, start: torch.Tensor) -> float:
    """Of the update, not of the weights."""
    return float((flat(ours) - flat(theirs)).norm() / (flat(theirs) - start).norm())


def stepped(module: nn.Module, name: str, items: int, **options: Any) -> float:
    """Step a module by a variant and a copy of it plainly; give the update's error."""
    x, y = data_of(name, items)
    plain, start = copy.deepcopy(module), flat(module)
    sgd_step_(plain, x, y, lr=0.1)
    backprop_step(options.pop("variant"), **options)(module, x, y, lr=0.1)
    assert all(p.grad is None for p in module.parameters())
    for ours, theirs in zip(module.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs)
    return relative_error(module, plain, start)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_a_memory_efficient_step_is_plain_fedavgs(name: str) -> None:
    module, (x, y) = model_of(name), data_of(name, 2)
    start = flat(module)
    sgd_step_(module, x, y, lr=0.1)
    for variant in EFFICIENT:
        ours = model_of(name)
        backprop_step(variant, micro_batch=1)(ours, x, y, lr=0.1)
        assert relative_error(ours, module, start) < 1e-5, variant


@pytest.mark.parametrize("variant", WHOLE)
def test_running_statistics_are_updated_once(variant: str) -> None:
    assert stepped(model_of("small_resnet", "batch"), "small_resnet", 5, variant=variant) < 1e-5


@pytest.mark.parametrize("variant", WHOLE)
def test_what_is_dropped_is_dropped_again(variant: str) -> None:
    def torso() -> nn.Sequential:
        return nn.Sequential(nn.Linear(64, 64), nn.Dropout(0.5), nn.Linear(64, 10))

    torch.manual_seed(3)
    ours = nn.Sequential(nn.Flatten(), torso())
    theirs, start = copy.deepcopy(ours), flat(ours)
    x, y = data_of("cnn", 16)
    for module, step in ((theirs, sgd_step_), (ours, backprop_step(variant))):
        torch.manual_seed(4)
        step(module, x, y, lr=0.1)
    assert relative_error(ours, theirs, start) < 1e-5


@pytest.mark.parametrize("variant", EFFICIENT)
def test_a_tied_weight_is_stepped_once_by_its_whole_gradient(variant: str) -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Flatten(), *(nn.Sequential(nn.Linear(64, 64)) for _ in range(3)))
    ours[3][0].weight = ours[1][0].weight
    theirs, start = copy.deepcopy(ours), flat(ours)
    x, y = data_of("cnn", 4)
    sgd_step_(theirs, x, y, lr=0.1)
    backprop_step(variant, micro_batch=3)(ours, x, y, lr=0.1)
    assert relative_error(ours, theirs, start) < 1e-5


@pytest.mark.parametrize("variant", EFFICIENT)
def test_frozen_weights_stay(variant: str) -> None:
    module = model_of("small_resnet")
    module.stages[1].requires_grad_(False)
    frozen = [p.clone() for p in module.stages[1].parameters()]
    assert stepped(module, "small_resnet", 4, variant=variant, micro_batch=2) < 1e-5
    assert all(map(torch.equal, frozen, module.stages[1].parameters()))


@pytest.mark.parametrize("variant", [n for n in EFFICIENT if BACKPROP[n].accumulates])
@pytest.mark.parametrize("mode", [True, False])
def test_batch_statistics_are_refused_where_micro_batches_would_change_them(
    variant: str, mode: bool
) -> None:
    module = model_of("cnn", "batch").train(mode)
    step, (x, y) = backprop_step(variant, micro_batch=2), data_of("cnn", 4)
    if not mode:  # in evaluation mode the statistics are numbers like any other
        step(module, x, y, lr=0.1)
        return
    before = flat(module)
    with pytest.raises(ValueError, match=r"BatchNorm '1' \(use norm='group'"):
        step(module, x, y, lr=0.1)
    assert torch.equal(flat(module), before)


def peak(variant: str, name: str = "small_resnet", items: int = 16) -> TensorPeak:
    module, (x, y) = model_of(name), data_of(name, items)
    step = backprop_step(variant, micro_batch=1)
    with track_tensors(parameters=module.parameters(), existing=[x, y]) as tracker:
        step(module, x, y, lr=0.1)
    return tracker.result()


def test_each_way_holds_less_of_what_it_saves() -> None:
    peaks = {variant: peak(variant) for variant in BACKPROP}
    activations = {variant: found.by_category["activation"] for variant, found in peaks.items()}
    assert activations["accumulated"] < activations["plain"] / 12
    assert activations["accumulated-checkpointed"] < activations["accumulated"]
    assert activations["checkpointed"] < 0.8 * activations["plain"]
    totals = [peaks[variant].peak_above_baseline_bytes for variant in ("layerwise", "checkpointed")]
    assert totals[0] < totals[1]


def test_layer_by_layer_no_more_than_the_largest_gradient_is_alive() -> None:
    module = model_of("small_resnet")
    largest = max(4 * p.numel() for p in module.parameters())
    alive: list[int] = []

    def note(_parameter: torch.Tensor) -> None:
        alive.append(sum(4 * p.numel() for p in module.parameters() if p.grad is not None))

    hooks = [p.register_post_accumulate_grad_hook(note) for p in module.parameters()]
    backprop_step("layerwise")(module, *data_of("small_resnet", 4), lr=0.1)
    assert len(alive) == len(hooks)
    assert max(alive) == largest


# --- what a block is -----------------------------------------------------------------------------


def test_the_suites_models_are_cut_where_their_papers_draw_blocks() -> None:
    assert [type(b).__name__ for b in blocks(model_of("resnet18"))] == ["BasicBlock"] * 8
    vit = [type(b).__name__ for b in blocks(model_of("vit"))]
    assert vit == ["EncoderBlock"] * 6 + ["Sequential"]  # the last is the head


class Wide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x))) + x


class Own(nn.Module):
    """A user's module: blocks as attributes, without any list."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b, self.head = nn.Flatten(), Wide(), Wide(), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.b(self.a(self.stem(x))))


@pytest.mark.parametrize("variant", EFFICIENT)
def test_a_users_module_is_cut_at_its_own_modules(variant: str) -> None:
    module = Own()
    assert list(blocks(module)) == [module.a, module.b]
    assert stepped(module, "cnn", 6, variant=variant, micro_batch=4) < 1e-5


def test_the_context_leaves_the_modules_as_they_were() -> None:
    module = Own()
    module.a.forward = own = module.a.forward
    with checkpointing(module):
        assert module.a.forward is not own
    assert module.a.forward is own
    assert "forward" not in module.b.__dict__


def test_an_input_that_was_overwritten_is_an_error_not_a_wrong_gradient() -> None:
    class Doubles(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Wide(), Wide()])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.flatten(1) * 1.0
            y = self.blocks[0](x)
            x *= 2.0
            return self.blocks[1](y) + x

    with pytest.raises(RuntimeError, match="changed in place"):
        backprop_step("checkpointed")(Doubles(), *data_of("cnn", 2), lr=0.1)


def test_a_single_layer_has_nothing_to_checkpoint() -> None:
    with pytest.raises(ValueError, match="Linear has no block to checkpoint"):
        backprop_step("layerwise")(nn.Linear(2, 2), torch.ones(1, 2), torch.ones(1).long(), lr=1.0)


# --- in training ---------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", EFFICIENT)
def test_a_fedavg_client_sends_the_same_weights(variant: str) -> None:
    x, y = data_of("cnn", 20)
    context = RoundContext(run_seed=5, run_id=5, round_index=0, cohort=(2,), samples=(20,))
    sent = []
    for backprop in ("plain", variant):
        chosen = config("fedavg", backprop=backprop, micro_batch=3, batch_size=8)
        method = build_algorithm(chosen, high=(0,)).phases[0].method
        update = method.client_update(
            Replica(model_of("cnn")), ClientData(slot=2, x=x, y=y), context
        )
        sent.append(torch.from_numpy(update.values).double())
    start = flat(model_of("cnn"))
    assert (sent[1] - sent[0]).norm() < 1e-5 * (sent[0] - start).norm()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backprop": "thrifty"}, "backprop must be one of plain, accumulated.* got thrifty"),
        ({"backprop": "accumulated"}, "micro_batch must be >= 1 with backprop='accumulated'"),
    ],
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_algorithm(train_config(**fields), (0,))
