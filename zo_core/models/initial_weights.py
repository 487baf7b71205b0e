"""Weights from a file into a module: safetensors, or a state_dict that torch saved.

A file that fits in part is taken in part, as when a head for other classes is put on a trained
body; what was not taken is named.  Nothing in a file can run code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from zo_core.whole_files import whole_file

_SHOWN = 4  # names in a message
_WRAPPERS = ("state_dict", "model", "model_state_dict")  # keys under which programs nest weights
_PREFIXES = ("", "module.", "model.", "_orig_mod.")  # of DataParallel, trainers, torch.compile


@dataclass(frozen=True, slots=True, kw_only=True)
class InitReport:
    """What a file gave a module."""

    file: str
    taken: int  # tensors
    missing: tuple[str, ...]  # of the module, not in the file: as they were
    unexpected: tuple[str, ...]  # in the file, not in the module: left out
    mismatched: tuple[str, ...]  # "name: file (1000, 512), model (10, 512)": as they were

    def remarks(self) -> list[str]:
        """List what was not taken, a sentence each; nothing where the file fits."""
        kinds = {
            "with another shape in the file, left at their fresh values": self.mismatched,
            "not in the file, left at their fresh values": self.missing,
            "only in the file, left out": self.unexpected,
        }
        return [
            f"--init {self.file}: {_count(names)} {what}: {_some(names)}"
            for what, names in kinds.items()
            if names
        ]


def load_initial_(module: nn.Module, path: Path) -> InitReport:
    """Copy a file's weights into a module, in place, by name.

    Args:
        module: on any device.
        path: a .safetensors file, or a state_dict saved by torch.

    Returns:
        What was taken, and what was not.

    Raises:
        ValueError: the file cannot be read, or no tensor of it fits.
    """
    own = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}
    found = _renamed(_read(path), own)
    shared = [name for name in own if name in found]
    wrong = [name for name in shared if own[name].shape != found[name].shape]
    taken = [name for name in shared if own[name].shape == found[name].shape]
    if not taken:
        raise ValueError(
            f"--init {path}: none of its {len(found)} tensors fits the model: it has "
            f"{_some(found)}, the model {_some(own)}"
        )
    with torch.no_grad():
        for name in taken:
            own[name].copy_(found[name])
    return InitReport(
        file=path.name,
        taken=len(taken),
        missing=tuple(sorted(_untied(module, own) - found.keys())),
        unexpected=tuple(sorted(found.keys() - own.keys())),
        mismatched=tuple(
            f"{name}: file {tuple(found[name].shape)}, model {tuple(own[name].shape)}"
            for name in wrong
        ),
    )


def save_weights(module: nn.Module, path: Path, about: dict[str, str]) -> None:
    """Write a module's state as safetensors; ``load_state_dict(load_file(path))`` reads it.

    Args:
        module: on any device; a tied tensor is written once for each of its names.
        path: the file; its folder is made.
        about: what is stored beside the weights, as text.

    Raises:
        OSError: it cannot be written; what was there is unchanged.
    """
    from safetensors.torch import save_file

    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in module.state_dict().items()
        if isinstance(tensor, torch.Tensor)
    }
    with whole_file(path) as part:
        save_file(state, part, metadata=about)


def _untied(module: nn.Module, own: dict[str, Any]) -> set[str]:
    """Return the names that a file must have: of tied tensors the first."""
    firsts = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    return {name for name in own if name in firsts}


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise ValueError(f"--init must be a file of weights, got {str(path)!r}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        problem = str(error).splitlines()[0]
        raise ValueError(
            f"--init {path} must be a .safetensors file or a state_dict saved by torch.save: "
            f"{problem}"
        ) from error
    for key in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        raise ValueError(f"--init {path} must hold a state_dict, got a {type(found).__name__}")
    return {str(n): t for n, t in found.items() if isinstance(t, torch.Tensor)}


def _renamed(found: dict[str, torch.Tensor], own: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Take off the prefix that makes most names the model's."""

    def matches(prefix: str) -> int:
        return sum(name.removeprefix(prefix) in own for name in found)

    best = max(_PREFIXES, key=matches)
    return {name.removeprefix(best): tensor for name, tensor in found.items()}


def _count(names: tuple[str, ...]) -> str:
    return f"{len(names)} tensors" if len(names) > 1 else "1 tensor"


def _some(names: Any) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
