"""Tied weights are one tensor by memory; whatever else shares memory is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zo_core import apply_updates_, digest, parameters, perturb_, rademacher, snap_
from zo_core.federation import Replica
from zo_core.first_order.trainable_part import freeze_others, trained_tensors
from zo_core.models import count_parameters
from zo_core.shared_memory import first_names

SHARED = r"parameters '(0|a|first)' and '(1|b|second)' share a part of their memory"


class TiedHead(nn.Module):
    """An encoder whose decoder is its transpose, by memory and not by object."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.encode = nn.Linear(6, 4)
        self.decode = nn.Linear(4, 6)
        self.scores = nn.Linear(6, 3)
        self.decode.weight = nn.Parameter(self.encode.weight.detach().t())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scores(self.decode(torch.tanh(self.encode(x))))


class Pair(nn.Module):
    """Two parameters, as given."""

    def __init__(self, first: torch.Tensor, second: torch.Tensor) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(first), nn.Parameter(second)


def test_a_transposed_tie_has_its_first_names_number_shape_and_order() -> None:
    model = TiedHead()
    numbered = parameters(model)
    assert numbered.names == (
        "encode.weight", "encode.bias", "decode.bias", "scores.weight", "scores.bias"
    )  # fmt: skip
    with torch.no_grad():
        model.encode.weight.zero_()
    perturb_(model, 5, 1.0)
    assert model.encode.weight.flatten().tolist() == rademacher(5, 0, 24).tolist()
    assert torch.equal(model.decode.weight, model.encode.weight.t())


def test_where_the_transpose_comes_first_its_row_major_order_numbers_the_elements() -> None:
    base = torch.zeros(3, 5)
    perturb_(Pair(base.t(), base), 7, 1.0)
    assert base.t().flatten().tolist() == rademacher(7, 0, 15).tolist()


@pytest.mark.parametrize(
    "tie",
    [
        lambda w: w.data,
        lambda w: w.detach().t(),
        lambda w: w.detach().view(2, -1),
        lambda w: w.detach().reshape(-1),
        lambda w: w.detach().view(2, 3, 4).permute(2, 0, 1),
        lambda w: torch.from_numpy(w.detach().numpy()),  # another storage object, the same memory
    ],
)
def test_a_tie_moves_once_and_counts_once(tie: Callable[[torch.Tensor], torch.Tensor]) -> None:
    first = torch.zeros(6, 4)
    model = Pair(first, tie(first))
    assert parameters(model).sizes == (24,)
    assert parameters(list(model.parameters())).sizes == (24,)
    assert count_parameters(model) == 24
    perturb_(list(model.state_dict().values()), 3, 0.5)
    assert set(first.abs().flatten().tolist()) == {0.5}


@pytest.mark.parametrize("tie", [np.transpose, np.ravel, lambda a: a[::-1], lambda a: a[:]])
def test_numpy_views_of_all_elements_are_ties(tie: Callable[[Any], Any]) -> None:
    for array in (np.zeros((6, 4), np.float32), np.zeros((6, 8), np.float32)[:, ::2]):
        if np.shares_memory(array, tie(array)):  # ravel copies what is not contiguous
            assert parameters([array, tie(array)]).sizes == (24,)


def test_a_torch_tensor_and_a_numpy_array_on_one_memory_are_one() -> None:
    array = np.zeros((2, 3), np.float32)
    assert parameters([array, torch.from_numpy(array).t()]).sizes == (6,)


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_slices_that_do_not_overlap_are_tensors_of_their_own(library: str) -> None:
    """Halves, columns between each other, interleaved elements."""
    base: Any = torch.zeros(8, 6) if library == "torch" else np.zeros((8, 6), np.float32)
    for slices in (
        [base[:4], base[4:]],
        [base[:, :2], base[:, 2:]],
        [base[::2, ::3], base[1::2, ::3], base[:, 1::3]],
    ):
        assert len(parameters(slices).arrays) == len(slices)


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_overlaps_are_refused_by_name(library: str) -> None:
    base: Any = torch.zeros(8, 6) if library == "torch" else np.zeros((8, 6), np.float32)
    for pair in (
        [base[:5], base[4:]],  # partial
        [base, base[2:]],  # one inside the other
        [base[1:], base[:-1]],  # shifted
        [base[:, :3], base[:, 2:]],  # columns
        [base[::2], base[::3]],
    ):
        with pytest.raises(ValueError, match=SHARED):
            parameters(pair)
        if library == "torch":
            with pytest.raises(ValueError, match=SHARED):
                parameters(Pair(*pair))
            with pytest.raises(ValueError, match=SHARED):
                count_parameters(Pair(*pair))


def test_one_memory_in_two_dtypes_is_refused() -> None:
    array = np.zeros(8, np.float32)
    with pytest.raises(ValueError, match=SHARED):
        parameters([array, array.view(np.float16)])


@pytest.mark.parametrize(
    "expanded",
    [
        torch.zeros(1, 4).expand(3, 4),
        torch.zeros(3).expand(3, 3),
        torch.zeros(10).as_strided((4, 4), (2, 1)),
        np.broadcast_to(np.zeros(1), (5,)),
    ],
)
def test_a_tensor_that_overlaps_itself_is_refused(expanded: Any) -> None:
    if isinstance(expanded, np.ndarray):
        expanded = np.lib.stride_tricks.as_strided(np.zeros(1), (5,), (0,))
    with pytest.raises(
        ValueError, match=r"parameter '0' of shape .* several elements at one place"
    ):
        parameters([expanded])


def test_a_tie_of_a_frozen_and_a_trained_parameter_is_refused() -> None:
    model = TiedHead()
    model.decode.weight.requires_grad_(False)
    with pytest.raises(ValueError, match=r"'encode.weight' and 'decode.weight' are tied, but only"):
        parameters(model)
    model.encode.weight.requires_grad_(False)
    assert "encode.weight" not in parameters(model).names


def test_what_frozen_parameters_share_does_no_harm() -> None:
    base = torch.zeros(6)
    model = nn.Sequential(nn.Linear(2, 2), Pair(base[:4], base[2:]).requires_grad_(False))
    assert parameters(model).names == ("0.weight", "0.bias")


def test_tensors_without_memory_are_tied_by_their_storage() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2))
        tied = Pair(first := torch.zeros(3, 4), first.t())
    assert count_parameters(model) == 16
    assert count_parameters(tied) == 12


def test_first_names_maps_each_name() -> None:
    a = np.zeros((2, 3))
    named = {"a": a, "b": np.zeros(0), "c": a.T, "d": np.zeros(0)}
    assert first_names(named, named) == {"a": "a", "b": "b", "c": "a", "d": "d"}


def test_a_tied_model_on_the_grid_restores_and_replays_to_the_bits_of_a_copy() -> None:
    models = [TiedHead(), TiedHead()]
    grids = [snap_(model) for model in models]
    start = digest(models[0], grids[0])
    for model, grid in zip(models, grids, strict=True):
        for scale in (2.0**-12, -(2.0**-12)):
            perturb_(model, 9, scale)
        assert digest(model, grid) == start
        apply_updates_(model, [(1, 0.5), (2, -0.25)], 1e-4, epsilon=1e-3, grid=grid)
        assert torch.equal(model.decode.weight, model.encode.weight.t())
    assert digest(models[0], grids[0]) == digest(models[1], grids[1]) != start


def test_a_tied_model_is_exported_with_one_input_and_steps_to_the_same_bits(tmp_path: Path) -> None:
    from zo_core.edge.export import export_model
    from zo_core.edge.load import load_replica

    model = TiedHead().eval()
    grid = snap_(model)
    x, y = torch.randn(5, 6), torch.tensor([0, 1, 2, 0, 1])
    manifest = export_model(model, tmp_path, example=(x, y), name="tied", grid=grid)
    assert tuple(spec.name for spec in manifest.parameters) == parameters(model).names
    there, here = load_replica(tmp_path), Replica(model)
    here.grid = grid
    for replica in (there, here):
        assert replica.mean_loss(x.numpy() if replica is there else x, y) == pytest.approx(
            here.mean_loss(x, y), rel=1e-5
        )
        perturb_(replica.params, 4, 2.0**-10)
    perturbed = here.mean_loss(x, y)
    assert there.mean_loss(x.numpy(), y.numpy()) == pytest.approx(perturbed, rel=1e-5)
    for replica in (there, here):
        perturb_(replica.params, 4, -(2.0**-10))
        apply_updates_(replica.params, [(3, 0.5)], 1e-4, epsilon=1e-3, grid=replica.grid)
    assert digest(there.params, there.grid) == digest(here.params, here.grid)


def test_an_overlapping_model_is_not_exported(tmp_path: Path) -> None:
    from zo_core.edge.export import export_model

    base = torch.zeros(12)
    with pytest.raises(ValueError, match=SHARED):
        export_model(
            Pair(base[:8], base[4:]),
            tmp_path / "made",
            example=(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64)),
            name="pair",
        )
    assert not (tmp_path / "made").exists()


# --- the part that is trained, and what a step will need -----------------------------------------


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("last-1", {"scores.weight", "scores.bias"}),
        ("last-2", {"encode.weight", "decode.bias", "scores.weight", "scores.bias"}),
        ("bias-norm", {"encode.bias", "decode.bias", "scores.bias"}),
    ],
)
def test_a_part_is_numbered_as_the_stream_numbers_it(part: str, names: set[str]) -> None:
    model = TiedHead()
    numbered = parameters(model)
    found = trained_tensors(model, part)
    assert {numbered.names[number] for number in found} == names
    with freeze_others(model, found):
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained - {"decode.weight"} == names  # tied to encode.weight, which is trained with it
    assert ("decode.weight" in trained) == ("encode.weight" in names)


@pytest.mark.parametrize("tied", ["memory", "object", "not"])
def test_a_prediction_counts_tied_weights_once(tied: str) -> None:
    from bench.fit import prediction
    from bench.workloads import tensors_without_memory

    def head() -> TiedHead:
        model = TiedHead()
        if tied == "not":
            model.decode.weight = nn.Parameter(model.decode.weight.detach().clone())
        if tied == "object":
            model.decode = nn.Linear(4, 6)
            model.encode = nn.Linear(4, 6)  # of the decoder's shape, so that one object serves both
            model.encode.weight = model.decode.weight
        return model

    model = head()
    count = parameters(model).num_elements
    firsts = prediction._first_names(model)
    named = dict(model.named_parameters())
    assert sum(p.numel() for name, p in named.items() if firsts[name] == name) == count
    assert prediction._bytes_of(list(model.parameters())) == 4 * count
    tensors_without_memory._make_fake(model)
    storages = {
        p.untyped_storage()._cdata: p.untyped_storage().nbytes() for p in model.parameters()
    }
    assert sum(storages.values()) == 4 * count
