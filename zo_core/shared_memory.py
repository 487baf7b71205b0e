"""Which tensors share memory: tied ones are one tensor, other overlaps are refused.

Two tensors are tied where they consist of the same elements in memory, in whatever order: the same
object, views of it, its transpose.  Addresses decide, not Python objects.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Dims = tuple[tuple[int, int], ...]  # (stride in bytes, size), strides descending


class _Region(NamedTuple):
    """The elements of one tensor in memory."""

    space: str  # tensors of different spaces never overlap
    low: int  # address of the first byte
    high: int  # and past the last
    dims: Dims  # () where the elements fill the range without gaps
    dtype: str
    name: str


def first_names(named: Mapping[str, Any], trained: Collection[str]) -> dict[str, str]:
    """Map the name of each tensor to the first name that its memory has.

    Args:
        named: torch tensors or NumPy arrays.
        trained: names of those that are written to; what the others share does no harm.

    Raises:
        ValueError: a trained tensor overlaps itself or another tensor without being tied to it.
    """
    firsts: dict[Any, str] = {}
    found: dict[str, str] = {}
    regions: list[_Region] = []
    for name, array in named.items():
        region = _region(name, array)
        if region.low == region.high:
            found[name] = name
            continue
        if region.dims and name in trained:
            _require_no_overlap_in(region, array)
        found[name] = firsts.setdefault(region[:-1], name)
        if found[name] == name:
            regions.append(region)
        elif (name in trained) != (found[name] in trained):
            raise ValueError(
                f"parameters {found[name]!r} and {name!r} are tied, but only one of them is "
                "trained; set requires_grad to the same value on both"
            )
    _require_apart(regions, trained)
    return found


def _region(name: str, array: Any) -> _Region:
    on_host = isinstance(array, np.ndarray)
    space, low = _numpy_place(array) if on_host else _torch_place(array)
    dtype = _dtype_name(array.dtype)
    if array.flags.c_contiguous if on_host else array.is_contiguous():
        return _Region(space, low, low + array.nbytes, (), dtype, name)
    unit = 1 if on_host else array.element_size()
    strides = [stride * unit for stride in (array.strides if on_host else array.stride())]
    steps = [(stride, n) for stride, n in zip(strides, array.shape, strict=True) if n > 1]
    low += sum(stride * (n - 1) for stride, n in steps if stride < 0)
    itemsize = array.itemsize
    dims = _merged(sorted((abs(stride), n) for stride, n in steps))
    high = low + sum(stride * (n - 1) for stride, n in dims) + itemsize
    is_dense = len(dims) == 1 and dims[0][0] == itemsize
    return _Region(space, low, high, () if is_dense else dims, dtype, name)


def _numpy_place(array: npt.NDArray[Any]) -> tuple[str, int]:
    return "cpu", array.__array_interface__["data"][0]


def _torch_place(tensor: Any) -> tuple[str, int]:
    """Return a tensor's address space and the address of its first element in it."""
    if tensor.is_cpu:
        return "cpu", tensor.data_ptr()
    if tensor.is_meta:  # no memory: a storage is a space of its own
        return f"meta {tensor.untyped_storage()._cdata}", tensor.storage_offset() * tensor.itemsize
    return str(tensor.device), tensor.data_ptr()


@cache
def _dtype_name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _merged(ascending: Sequence[tuple[int, int]]) -> Dims:
    """Join dimensions where one continues where the smaller one ends; strides descending."""
    dims: list[tuple[int, int]] = []
    for stride, n in ascending:
        if dims and stride == dims[-1][0] * dims[-1][1]:
            dims[-1] = dims[-1][0], dims[-1][1] * n
        else:
            dims.append((stride, n))
    return tuple(reversed(dims))


def _require_no_overlap_in(region: _Region, array: Any) -> None:
    """Raise unless each dimension steps over all that the smaller ones span."""
    end = region.high
    for stride, n in region.dims:
        end -= stride * (n - 1)
        if region.low + stride < end:
            raise ValueError(
                f"parameter {region.name!r} of shape {tuple(array.shape)} has several elements at "
                "one place in memory (an expanded view?); make it contiguous, or leave it out"
            )


def _require_apart(regions: Sequence[_Region], trained: Collection[str]) -> None:
    before: list[_Region] = []  # that may reach beyond the present one's start
    end = 0
    for region in sorted(regions):
        if before and (region.low >= end or region.space != before[-1].space):
            before, end = [], 0
        for other in before:
            matters = region.name in trained or other.name in trained
            if matters and other.high > region.low and _share(other, region):
                names = sorted((other.name, region.name))
                raise ValueError(
                    f"parameters {names[0]!r} and {names[1]!r} share a part of their memory; "
                    "perturbing one would move the other (clone one of them, or tie them whole)"
                )
        before.append(region)
        end = max(end, region.high)


def _share(first: _Region, second: _Region) -> bool:
    """Decide whether elements coincide: slices may lie between each other and be apart."""
    return np.shares_memory(_shadow(first, first.low), _shadow(second, first.low))


class _Layout:
    """A region's layout at made-up addresses, which nobody reads."""

    def __init__(self, region: _Region, origin: int) -> None:
        dims = region.dims or ((1, region.high - region.low),)
        last = sum(stride * (n - 1) for stride, n in dims)
        self.__array_interface__ = {
            "version": 3,
            "data": (region.low - origin + 4096, False),
            "typestr": f"|V{region.high - region.low - last}",
            "shape": tuple(n for _, n in dims),
            "strides": tuple(stride for stride, _ in dims),
        }


def _shadow(region: _Region, origin: int) -> npt.NDArray[Any]:
    return np.asarray(_Layout(region, origin))
