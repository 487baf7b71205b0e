from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from optional import needs
from torch import nn

from bench.models.load import load_model
from bench.suite.preflight import check_model, choose_device, problem_of
from bench.workloads.steps import STEP_METHODS, measure_tensor_peaks
from devices.tensor_peak import TensorPeak
from zo_core.model_names import SUITE_SHAPES, model_label, parse_model, with_input_shape

OWN = """
import torch
from torch import nn

def tiny():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 7))

def tokens():
    x = torch.arange(6).reshape(3, 2)
    module = nn.Sequential(nn.Embedding(6, 4), nn.Flatten(), nn.Linear(8, 5))
    return module, (x, torch.tensor([0, 1, 4]))

def nothing():
    return None

def lengths():
    return nn.Linear(2, 2), (torch.zeros(3, 2), torch.zeros(2, dtype=torch.long))

def classes():
    return nn.Linear(2, 2), (torch.zeros(3, 2), torch.full((3,), 9))

def frozen():
    return nn.Linear(2, 2).requires_grad_(False), (torch.zeros(3, 2), torch.zeros(3).long())

class Table(nn.Module):
    # keeps a table that its first forward makes, as rotary embeddings do
    def __init__(self):
        super().__init__()
        self.linear, self.table = nn.Linear(2, 2), None

    def forward(self, x):
        if self.table is None:
            self.table = torch.ones(2)
        return self.linear(x) * self.table

def table():
    return Table(), (torch.ones(3, 2), torch.zeros(3).long())

def lazy():
    return nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(2))

def later_label():
    return nn.Linear(2, 2), (torch.zeros(3, 2), torch.tensor([0, 1, 2]))

def later_value():
    x = torch.zeros(3, 2)
    x[2] = torch.nan
    return nn.Linear(2, 2), (x, torch.zeros(3).long())

def short_labels():
    return nn.Linear(2, 2), (torch.zeros(3, 2), torch.zeros(3, dtype=torch.int32))

def half():
    return nn.Linear(2, 2).half(), (torch.zeros(3, 2).half(), torch.zeros(3).long())

def per_pixel():
    return nn.Conv2d(1, 2, 1), (torch.zeros(3, 1, 4, 4), torch.zeros(3).long())

class Once(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, x):
        return self.linear(x.numpy() if self.training else x)

def trains_not():
    return Once(), (torch.zeros(3, 2), torch.zeros(3).long())

def broken():
    raise KeyError("weights.pt")

def needs(argument):
    return nn.Linear(2, 2)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_models.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_models", raising=False)
    return "own_models"


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("resnet18", "resnet18"),
        ("lm:opt-125m", "lm-opt-125m"),
        ("lm:opt-125m:bfloat16@64", "lm-opt-125m-bfloat16-64"),
        ("lm:opt-125m:lora8:bfloat16@64", "lm-opt-125m-bfloat16-lora8-64"),
        ("lm:/models/my llama", "lm-models-my-llama"),
        ("resnet18@3x32x32", "resnet18"),
        ("resnet18@3x64x64", "resnet18-3x64x64"),
        ("torchvision:mobilenet_v3_small", "torchvision-mobilenet_v3_small"),
        ("my.models:tiny@3x32x32", "my.models-tiny-3x32x32"),
    ],
)
def test_a_label_is_safe_in_file_names_and_addresses(model: str, label: str) -> None:
    assert model_label(model) == label
    assert re.fullmatch(r"[A-Za-z0-9._-]+", label)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("nonsense", "one of resnet18, vit, cnn, small_resnet"),
        ("a b:c", "package.module:factory"),
        ("a:b:c", "package.module:factory"),
        ("lm:opt-125m:lora0", ":loraRANK, RANK >= 1"),
        ("lm:opt-125m:lora8:lora4", ":loraRANK, RANK >= 1"),
        ("lm:opt-125m:int3", "one of float32, bfloat16"),
        ("resnet18@3x", "whole numbers"),
        ("resnet18@3x32x64", "square"),
    ],
)
def test_a_name_of_no_known_form_says_the_forms(model: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        parse_model(model)


def test_the_command_lines_shape_becomes_part_of_the_name() -> None:
    assert with_input_shape("a.b:c", "3,32,32") == "a.b:c@3x32x32"
    assert with_input_shape("a.b:c", None) == "a.b:c"
    for shape in ("3,0", "", "-1", "3,a"):
        with pytest.raises(ValueError, match="whole numbers"):
            with_input_shape("a.b:c", shape)
    with pytest.raises(ValueError, match="twice"):
        with_input_shape("a.b:c@3x3", "3,3")


@pytest.mark.parametrize("model", ["cnn", "small_resnet"])
def test_the_suites_models_take_their_batch(model: str) -> None:
    loaded = load_model(model)
    x, y = loaded.batch(3)
    assert tuple(x.shape) == (3, *SUITE_SHAPES[model])
    assert loaded.module(x).shape == (3, 10)
    assert y.shape == (3,)
    assert torch.equal(x, loaded.batch(3)[0])


def test_a_factory_alone_gets_noise_and_as_many_classes_as_outputs(own: str) -> None:
    loaded = load_model(f"{own}:tiny@3x2x2")
    x, y = loaded.batch(200)
    assert tuple(x.shape) == (200, 3, 2, 2)
    assert loaded.num_classes == 7
    assert set(y.tolist()) == set(range(7))


def test_an_example_batch_is_repeated_to_any_size(own: str) -> None:
    x, y = load_model(f"{own}:tokens").batch(7)
    assert x[:, 0].tolist() == [0, 2, 4, 0, 2, 4, 0]
    assert y.tolist() == [0, 1, 4, 0, 1, 4, 0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tiny", "--input-shape"),
        ("tiny@5", "does not take an input of shape (1, 5)"),
        ("nothing", "must return a torch module, or (module, (x, y)), got a NoneType"),
        ("lengths", "as many items"),
        ("classes", "labels in [0, 2), got 9 to 9"),
        ("later_label", "labels in [0, 2), got 0 to 2"),
        ("later_value", "must be finite, got nan in item 2"),
        ("short_labels", "y must be int64, got torch.int32; return y.long()"),
        ("per_pixel", "must return scores"),
        ("broken", "KeyError: 'weights.pt'"),
        ("needs", "without arguments"),
        ("missing", "has no 'missing'; it defines tiny, tokens"),
    ],
)
def test_a_factory_that_does_not_serve_says_why(own: str, name: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        load_model(f"{own}:{name}")


def test_a_module_that_is_not_there_says_so(own: str) -> None:
    with pytest.raises(ValueError, match="no_such_module cannot be imported"):
        load_model("no_such_module:tiny")


@pytest.mark.process
def test_a_model_is_tried_in_a_process_of_its_own(own: str) -> None:
    assert check_model("resnet18") == "resnet18"
    with pytest.raises(ValueError, match="no trainable parameter"):
        check_model(f"{own}:frozen")
    assert own not in sys.modules


@pytest.mark.slow
@pytest.mark.process
def test_a_step_of_each_method_is_tried_before_anything_is_measured(own: str) -> None:
    with pytest.raises(ValueError, match="a step of fedavg over 3 items fails: TypeError"):
        check_model(f"{own}:trains_not", ["inference", "zo", "fedavg"])
    assert check_model(f"{own}:trains_not", ["inference", "zo"]) == f"{own}:trains_not"


@pytest.mark.parametrize("name", ["table", "lazy@4"])
def test_a_model_is_loaded_as_it_was_so_that_every_method_takes_its_step(
    own: str, name: str
) -> None:
    """A layer that its first forward builds would be no part of backprop after inference mode."""
    assert problem_of(f"{own}:{name}", STEP_METHODS) is None
    peaks = measure_tensor_peaks(f"{own}:{name}", list(STEP_METHODS), 2)
    assert {method for method, peak in peaks.items() if isinstance(peak, TensorPeak)} == {
        *STEP_METHODS
    }


def test_weights_that_zeroth_order_steps_cannot_move_are_refused(own: str) -> None:
    problem = problem_of(f"{own}:half", STEP_METHODS)
    assert problem is not None
    assert "float16" in problem


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        "torchvision:mobilenet_v3_small@3x64x64",
        pytest.param("lm:tiny-llama@16", marks=needs("transformers")),
    ],
)
def test_models_of_a_library_pass_the_trial(model: str) -> None:
    assert problem_of(model, STEP_METHODS) is None


def test_torchvisions_names_are_known_and_an_unknown_one_lists_them() -> None:
    with pytest.raises(ValueError, match="resnet18"):
        load_model("torchvision:nonsense")
    loaded = load_model("torchvision:mobilenet_v3_small@3x64x64")
    assert loaded.num_classes == 1000
    assert isinstance(loaded.module, nn.Module)
    assert loaded.module.eval()(loaded.batch(2)[0]).shape == (2, 1000)


def test_the_device_is_chosen_or_refused() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="auto, cpu, cuda"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="--device cpu"):
            choose_device("cuda")
