"""Which tensors are trained, under which number, and what cannot be."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from torch import nn

from zo_core import parameters, perturb_, rademacher


class Tied(nn.Module):
    """A frozen tensor in front, a tied one, and one without elements between others."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.first = nn.Parameter(torch.zeros(2, 5))
        self.empty = nn.Parameter(torch.zeros(0, 4))
        self.again = self.first
        self.last = nn.Linear(4, 2)


def test_a_module_is_numbered_in_named_parameters_order() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.GroupNorm(1, 2))
    assert parameters(model).names == tuple(name for name, _ in model.named_parameters())


def test_frozen_parameters_have_no_number_tied_ones_one_and_empty_ones_theirs() -> None:
    numbered = parameters(Tied())
    assert numbered.names == ("first", "empty", "last.weight", "last.bias")
    assert numbered.sizes == (10, 0, 8, 2)
    assert numbered.num_elements == 20


def test_each_tensor_moves_along_the_stream_of_its_number() -> None:
    """An empty tensor's number is skipped, a frozen one's is not taken."""
    model = Tied()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    perturb_(model, seed=5, scale=1.0)
    assert model.first.flatten().tolist() == rademacher(5, 0, 10).tolist()
    assert model.last.weight.flatten().tolist() == rademacher(5, 2, 8).tolist()
    assert model.last.bias.tolist() == rademacher(5, 3, 2).tolist()
    assert model.frozen.tolist() == [0.0] * 3


def test_the_buffers_are_the_models_own_memory() -> None:
    model = nn.Linear(3, 2)
    for array in parameters(model).arrays:
        array.fill_(7.0)
    assert all((p == 7).all() for p in model.parameters())
    assert not any(array.requires_grad for array in parameters(model).arrays)


def test_numbering_twice_is_numbering_once() -> None:
    numbered = parameters([np.zeros(2)])
    assert parameters(numbered) is numbered


def test_a_list_keeps_its_order_and_a_repeated_buffer_one_number() -> None:
    a, b = np.zeros(2, np.float32), torch.zeros(3)
    assert parameters([b, a, b, a]).sizes == (3, 2)


def test_tied_weights_are_one_buffer_in_a_state_dict_too() -> None:
    """``state_dict()`` gives a new tensor object for each name, on the same memory."""
    model = Tied()
    numbered = parameters([v for k, v in model.state_dict().items() if k != "frozen"])
    assert numbered.sizes == parameters(model).sizes


def test_buffers_without_elements_keep_a_number_each() -> None:
    assert parameters([np.zeros(0), np.zeros(0), torch.zeros(0), torch.zeros(0)]).sizes == (0,) * 4


@pytest.mark.parametrize("count", [3, 40])
def test_a_generator_of_short_lived_views_loses_none_of_them(count: int) -> None:
    """GIVEN views that nobody else holds, as in ``(p.data for p in model.parameters())``,
    whose object ids come again, THEN each is a buffer of its own.
    """
    tensors = [torch.zeros(4) for _ in range(count)]
    arrays = [np.zeros(4, np.float32) for _ in range(count)]
    assert len(parameters(t.data for t in tensors).arrays) == count
    assert len(parameters(a[:] for a in arrays).arrays) == count
    perturb_((t.data for t in tensors), seed=1, scale=1.0)
    gc.collect()
    assert all(t.tolist() == rademacher(1, i, 4).tolist() for i, t in enumerate(tensors))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool, torch.complex64])
def test_a_parameter_of_no_floating_dtype_is_an_error_that_names_it(dtype: torch.dtype) -> None:
    model = nn.Module()
    model.fine = nn.Parameter(torch.zeros(2))
    model.register_parameter("odd", nn.Parameter(torch.zeros(2, dtype=dtype), requires_grad=False))
    assert parameters(model).names == ("fine",)  # frozen, it does no harm
    with pytest.raises(ValueError, match=r"parameter '1' has dtype.*use one of float16"):
        parameters([model.fine, model.odd])


def test_integer_and_complex_arrays_are_errors() -> None:
    for dtype in (np.int32, np.bool_, np.complex64):
        with pytest.raises(ValueError, match="parameter '0' has dtype"):
            parameters([np.zeros(3, dtype)])


def test_a_read_only_array_is_an_error() -> None:
    array = np.zeros(3, np.float32)
    array.flags.writeable = False
    with pytest.raises(ValueError, match=r"'1' is a read-only array and.*pass a writable"):
        parameters([np.zeros(1, np.float32), array])


@pytest.mark.parametrize("params", [[], nn.ReLU(), nn.Linear(2, 2).requires_grad_(False)])
def test_nothing_to_train_is_an_error_with_a_way_out(params: object) -> None:
    with pytest.raises(ValueError, match=r"no trainable parameter.*requires_grad=True"):
        parameters(params)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(), (1,), (7, 1), (40, 30, 20), (1, 17_000), (17_000, 2)])
def test_pieces_cover_every_element_once(shape: tuple[int, ...]) -> None:
    """Row-major positions, for row-major, transposed and strided arrays alike."""
    base = np.zeros([2 * n for n in shape], np.float32)
    strided = base[(..., *(slice(None, None, 2) for _ in shape))]
    for array in (np.zeros(shape, np.float32), np.zeros(shape[::-1], np.float32).T, strided):
        for span in parameters([array]).spans:
            part = span.array
            part += np.arange(span.start, span.start + part.size).reshape(part.shape)
        assert np.array_equal(array.reshape(-1), np.arange(array.size))
