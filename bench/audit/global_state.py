"""What a step should leave as it is, apart from the weights: generators, modes, precision flags."""

from __future__ import annotations

import hashlib
import pickle
import random
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

GENERATORS = ("Python's random", "NumPy's global generator", "torch's global generator")


def generators() -> dict[str, str]:
    """Return a digest of each global generator's state."""
    states = [
        pickle.dumps(random.getstate()),
        pickle.dumps(np.random.get_state()),
        torch.get_rng_state().numpy().tobytes(),
    ]
    found = {name: _digest(state) for name, state in zip(GENERATORS, states, strict=True)}
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state = torch.cuda.get_rng_state().numpy().tobytes()
        found["CUDA's global generator"] = _digest(state)
    return found


def modes(module: nn.Module) -> dict[str, str]:
    """Return whether each submodule is in training mode."""
    return {name: str(part.training) for name, part in module.named_modules()}


def precision_flags(device: str) -> dict[str, str]:
    """Return the settings by which float32 forwards lose precision on a device type."""
    flags = {"float32 matmul precision": torch.get_float32_matmul_precision()}
    if torch.is_autocast_enabled(device):
        flags["autocast"] = str(torch.get_autocast_dtype(device)).removeprefix("torch.")
    if device == "cuda" and _convolves_in_tf32():
        flags["cuDNN convolutions"] = "tf32"
    return flags


def _convolves_in_tf32() -> bool:
    current = getattr(torch.backends.cudnn, "conv", None)  # from torch 2.9 on
    return bool(current.fp32_precision != "ieee" if current else torch.backends.cudnn.allow_tf32)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of what differs."""
    names = dict.fromkeys((*before, *after))
    return tuple(name for name in names if before.get(name) != after.get(name))


def _digest(state: bytes) -> str:
    return hashlib.blake2b(state, digest_size=8).hexdigest()
