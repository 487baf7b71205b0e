"""Numbers of any library are served alike; what is no number is one ValueError."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zo_core import ZOSGD, apply_updates_, loss_differences, perturb_, projected_gradient, snap_

PAIRS = [(1, 0.5), (2, 0.25)]
SEEDS, DIFFERENCES = [1, 2], np.array([0.5, 0.25], np.float32)


def weights() -> list[np.ndarray]:
    return [np.linspace(-0.5, 0.5, 300, dtype=np.float32)]


def after(updates: Any, lr: Any = 0.01, **options: Any) -> bytes:
    given = weights()
    apply_updates_(given, updates, lr, **{"epsilon": 0.01, "grid": snap_(given)} | options)
    return given[0].tobytes()


@pytest.mark.parametrize(
    "updates",
    [
        lambda: zip(SEEDS, DIFFERENCES, strict=True),
        lambda: (pair for pair in PAIRS),
        lambda: dict(PAIRS).items(),
        lambda: np.array(PAIRS, np.dtype([("seed", "u8"), ("dL", "f4")])),
        lambda: [(seed, torch.tensor(value)) for seed, value in PAIRS],
        lambda: [(seed, np.array([value], np.float32)) for seed, value in PAIRS],
        lambda: [(torch.tensor(seed), torch.tensor([value])) for seed, value in PAIRS],
    ],
)
def test_pairs_of_any_kind_are_updates(updates: Callable[[], Any]) -> None:
    assert after(updates()) == after(PAIRS)


@pytest.mark.parametrize(
    "number", [np.float32, np.float16, torch.tensor, lambda x: np.array([x]), Fraction]
)
def test_rates_and_radii_of_any_library_are_computed_in_float64(
    number: Callable[[float], Any],
) -> None:
    for name in ("lr", "epsilon", "tau"):
        value = number(0.0101)
        plain = float(value.item() if hasattr(value, "item") else value)
        assert after(PAIRS, **{name: value}) == after(PAIRS, **{name: plain})


@pytest.mark.parametrize(
    "updates", [dict(PAIRS), [(1, 0.5, 3)], 3, [1, 2], [(1, None)], [(1, "x")], [(1, DIFFERENCES)]]
)
def test_what_are_no_pairs_is_refused(updates: Any) -> None:
    with pytest.raises(ValueError, match=r"updates must be \(seed, dL\) pairs|dL of an update"):
        after(updates)


@pytest.mark.parametrize("value", ["0.01", None, 1j, (0.01,), DIFFERENCES, torch.zeros(2)])
@pytest.mark.parametrize("name", ["lr", "epsilon", "tau", "loss"])
def test_what_is_no_number_is_refused_and_changes_nothing(name: str, value: Any) -> None:
    given = weights()
    before = given[0].copy()

    def act() -> None:
        if name == "loss":
            projected_gradient(lambda: value, given, 1, epsilon=0.0625)
        else:
            apply_updates_(given, PAIRS, **{"lr": 0.01, "epsilon": 0.01} | {name: value})

    with pytest.raises(ValueError, match=rf"{name} must be one number, got"):
        act()
    assert np.allclose(given[0], before, atol=1e-7)


@pytest.mark.parametrize("directions", [0, -1, 1.5, "2", None])
def test_directions_are_a_whole_number(directions: Any) -> None:
    from zo_core.torch import ZOSGD as OfTorch  # noqa: N811

    for make in (
        lambda: ZOSGD(weights(), lr=0.1, directions=directions),
        lambda: OfTorch([nn.Parameter(torch.ones(2))], lr=0.1, directions=directions),
    ):
        with pytest.raises(ValueError, match="directions must be a whole number >= 1"):
            make()


def test_a_rate_may_be_an_array() -> None:
    assert ZOSGD(weights(), lr=np.array([0.1])).rates == [0.1]
    assert ZOSGD(weights(), lr=np.float64(0.1)).rates == [0.1]


def test_one_seed_is_no_list_of_seeds() -> None:
    with pytest.raises(ValueError, match="seeds must be a list of seeds, got 5"):
        loss_differences(lambda: 0.0, weights(), 5, epsilon=0.01)  # type: ignore[arg-type]


# --- buffers without memory of their own ----------------------------------------------------------


def without_values() -> nn.Module:
    """A model of which a part waits on the meta device, as when weights are offloaded."""
    with torch.device("meta"):
        waiting = nn.Linear(3, 2)
    return nn.Sequential(nn.Linear(3, 3), waiting)


@pytest.mark.parametrize(
    "act",
    [
        snap_,
        lambda model: perturb_(model, 1, 0.5),
        lambda model: apply_updates_(model, PAIRS, 0.1, epsilon=0.01),
        lambda model: loss_differences(lambda: 0.0, model, [1], epsilon=0.01),
    ],
)
def test_a_tensor_without_values_is_refused_by_name(act: Callable[[nn.Module], object]) -> None:
    model = without_values()
    before = model[0].weight.clone()
    with pytest.raises(ValueError, match=r"'1.weight' is on the meta device.*load the model"):
        act(model)
    assert torch.equal(model[0].weight, before)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        (lambda: {torch.zeros(3)}, "a set, which has no order"),
        (lambda: [torch.nested.nested_tensor([torch.zeros(3)])], "is a nested tensor"),
        (lambda: [torch.zeros(3, dtype=torch.complex64).conj().imag], "is a view that negates"),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_what_has_no_order_or_no_elements_of_its_own_is_refused(
    params: Callable[[], Any], why: str
) -> None:
    given = params()
    with pytest.raises(ValueError, match=why):
        perturb_(given, 1, 0.5)
