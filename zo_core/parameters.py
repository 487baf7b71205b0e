"""A model's trainable weights as an ordered list of buffers, numbered as in the stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from zo_core.buffers import check_has_values, check_list, check_trainable, detached, is_module
from zo_core.parameter_source import Source
from zo_core.shared_memory import first_names

if TYPE_CHECKING:
    import torch

    Buffer: TypeAlias = torch.Tensor | npt.NDArray[Any]
    Params: TypeAlias = "Parameters | torch.nn.Module | Iterable[Buffer]"
else:
    Buffer = Any
    Params = Any

CHUNK = 1 << 14  # elements worked on at a time where a kernel needs scratch memory: 64 KiB in fp32


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one tensor that a kernel can walk: elements start, start + 1 and so on."""

    array: Any  # 1-D and contiguous, or a small strided view that is staged through a copy
    tensor_index: int
    start: int  # the span's first element within the tensor, row-major


@dataclass(frozen=True)
class Parameters:
    """Trainable tensors in stream order; a tensor's position is its number in the stream."""

    names: tuple[str, ...]
    arrays: tuple[Any, ...]  # torch tensors (detached) or NumPy arrays, any shape
    source: Source | None = field(default=None, compare=False, repr=False)  # to see it change
    part: frozenset[int] | None = None  # numbers of the tensors that passes visit; None for all

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of elements of each tensor."""
        return tuple(size_of(array) for array in self.arrays)

    @property
    def num_elements(self) -> int:
        """Number of elements of all tensors together."""
        return sum(self.sizes)

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """All stretches of the tensors that passes visit, in stream order."""
        for name, array in zip(self.names, self.arrays, strict=True):
            check_has_values(name, array)
        return tuple(
            span
            for index, array in enumerate(self.arrays)
            if self.part is None or index in self.part
            for span in _spans(as_numpy_if_possible(array), index, 0)
        )

    @cached_property
    def tables(self) -> dict[Any, Any]:
        """What :mod:`zo_core.kernels` prepared for these spans; it lives as long as they do."""
        return {}


def parameters(params: Params) -> Parameters:
    """Number the trainable tensors of a module, or the buffers of a list, in stream order.

    Args:
        params: a torch module (``named_parameters()`` order, trainable only), a sequence of torch
            tensors or NumPy arrays, or the result of an earlier call.  Tensors that are tied, by
            object or by memory, are one tensor, under its first name and in that one's shape.

    Returns:
        The buffers themselves, not copies: writing to them changes the model.

    Raises:
        ValueError: nothing to train, something that is not a list of buffers, a buffer that cannot
            be perturbed in place, buffers that share memory without being tied, or the model of an
            earlier call has changed since.
    """
    if isinstance(params, Parameters):
        if params.source is not None:
            params.source.check()
        return params
    named = _named(params)
    trained, firsts = _trained(named, of_module=is_module(params))
    names = tuple(name for name in trained if firsts[name] == name)
    return Parameters(
        names=names,
        arrays=tuple(trained[name] for name in names),
        source=Source(named, params if is_module(params) else None),
    )


def tensor_numbers(module: torch.nn.Module) -> dict[str, int]:
    """Map the name of each trainable parameter to its tensor's number; tied ones have the same.

    Raises:
        ValueError: as in :func:`parameters`.
    """
    trained, firsts = _trained(_named(module), of_module=True)
    numbers = {name: i for i, name in enumerate(n for n in trained if firsts[n] == n)}
    return {name: numbers[firsts[name]] for name in trained}


def as_numpy_if_possible(array: Any) -> Any:
    """View a CPU torch tensor as a NumPy array on the same memory; leave anything else as it is."""
    if (
        isinstance(array, np.ndarray)
        or array.device.type != "cpu"
        or "bfloat16" in str(array.dtype)
    ):
        return array
    return array.numpy()


def size_of(array: Any) -> int:
    """Count the elements of a torch tensor or a NumPy array."""
    return int(array.size) if isinstance(array, np.ndarray) else int(array.numel())


def is_contiguous(array: Any) -> bool:
    """Tell whether the row-major elements of an array lie one after the other in memory."""
    if isinstance(array, np.ndarray):
        return bool(array.flags.c_contiguous)
    return bool(array.is_contiguous())


def _named(params: Any) -> dict[str, Any]:
    """Give each parameter or buffer its name; tied objects of a module have their first one."""
    if is_module(params):
        return dict(cast("torch.nn.Module", params).named_parameters())
    check_list(params)
    return {str(index): given for index, given in enumerate(params)}


def _trained(named: dict[str, Any], *, of_module: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Detach what is trained, all of a list; map each name to the first one of its memory."""
    frozen = {n: t.detach() for n, t in named.items() if of_module and not t.requires_grad}
    trained = {n: detached(n, t) for n, t in named.items() if n not in frozen}
    if not trained:
        raise ValueError(
            "params has no trainable parameter; zeroth-order training needs at least one "
            "(set requires_grad=True on the parameters to train)"
        )
    for name, array in trained.items():
        check_trainable(name, array)
    return trained, first_names({n: trained.get(n, frozen.get(n)) for n in named}, trained)


def _spans(array: Any, tensor_index: int, start: int) -> Iterator[Span]:
    """Split a tensor of any strides into flat stretches and small strided views."""
    size = size_of(array)
    if size == 0:
        return
    if is_contiguous(array):
        yield Span(array.reshape(-1), tensor_index, start)
        return
    step = size // array.shape[0]
    if step > CHUNK:
        for row in range(array.shape[0]):
            yield from _spans(array[row], tensor_index, start + row * step)
        return
    rows = CHUNK // step
    for row in range(0, array.shape[0], rows):
        yield Span(array[row : row + rows], tensor_index, start + row * step)
