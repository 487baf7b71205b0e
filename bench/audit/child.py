"""What a fresh process runs: the same step again, with another number of threads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from safetensors.torch import save_file

from bench.audit.case import load_factory, make_case
from bench.audit.directions import displacement
from bench.audit.observe import Observation, observe
from bench.audit.weights import Weights


def take_observed_step(target: str, seed: int, lr: float, threads: int, path: str) -> list[str]:
    """Take one step and write the update to a file.

    Args:
        target: the factory, "package.module:factory".
        seed: of the directions.
        lr: learning rate.
        threads: of the CPU.
        path: of the safetensors file to write.

    Returns:
        The digests of the start and of all points.
    """
    torch.set_num_threads(threads)
    seen = observe(make_case(load_factory(target), seed, lr))
    save_file(displacement(seen.end, seen.start), path)
    return list(digest_of(seen))


def digest_of(seen: Observation) -> tuple[str, str]:
    """Return the digests of a step's start and of all its points."""
    return _digest([seen.start]), _digest(seen.points)


def _digest(states: Iterable[Weights]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for weights in states:
        for name, value in weights.items():
            found.update(name.encode())
            found.update(value.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
