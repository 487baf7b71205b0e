"""Storages: which one a tensor has, and where it lies. Imports torch."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_leaves


def key_of(tensor: torch.Tensor) -> int:
    """Return what tells a live storage from all others."""
    return int(tensor.untyped_storage()._cdata)


def address_of(tensor: torch.Tensor) -> int:
    """Return where a storage begins; 0 where that is not known, as of a fake tensor.

    A tangent that is zero (forward-mode differentiation) has no memory.
    """
    is_plain = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.device.type == "cpu"
    has_memory = is_plain and not tensor._is_zerotensor()
    return tensor.untyped_storage().data_ptr() if has_memory else 0


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """Return the strided tensors among an operator's arguments or results."""
    leaves = tree_leaves(tree)
    return [
        leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.layout is torch.strided
    ]
