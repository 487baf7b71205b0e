"""The losses along many directions side by side, for studies of many small trainings.

A client's forwards follow one another, since side by side they would need a copy of the weights
for each.  A model of a few thousand weights spends most of its time between the forwards; here all
directions of a client go through it in one call.  The directions, the radius and the step are
those of the method; a loss differs in its last bits, as it does between two back ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.func import functional_call, vmap

from zo_core.algorithms.methods.zowarmup_split import SplitStep
from zo_core.directions import BLOCK
from zo_core.loss.module_loss import cross_entropy, evaluating
from zo_core.loss.passes import count_passes
from zo_core.method import ClientData
from zo_core.philox import philox4x32
from zo_core.replica import Replica
from zo_core.spsa import NonFiniteLossError, radius


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedSplitStep(SplitStep):
    """The step of zowarmup-split with a client's forwards in one call for all parts of a size."""

    def differences_of(
        self,
        replica: Replica,
        parts: Sequence[ClientData],
        seeds: Sequence[Sequence[int]],
        seen: list[float],
    ) -> npt.NDArray[np.float32]:
        """Compute dL of each part along its own S seeds, (k, S); at the same weights."""
        found = np.empty((self.splits, self.directions), np.float32)
        for size in {len(part.x) for part in parts}:
            chosen = [p for p, part in enumerate(parts) if len(part.x) == size]
            own = [seed for p in chosen for seed in seeds[p]]
            losses = self._losses_along(replica, [parts[p] for p in chosen], own)
            seen += losses.reshape(-1).tolist()
            upper, lower = losses
            found[chosen] = upper - lower
        if not np.isfinite(found).all():
            raise NonFiniteLossError("a difference of losses is not finite")
        return found

    def _losses_along(
        self, replica: Replica, shards: Sequence[ClientData], seeds: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        """Compute the losses at both ends of each direction, (2, parts, S)."""
        rho = radius(self.epsilon, self.tau, replica.grid)
        z = torch.from_numpy(directions(replica.params.sizes, seeds)).float()
        offsets = rho * z  # (k S, P)
        weights = torch.cat([torch.as_tensor(a).reshape(-1) for a in replica.params.arrays])
        x, y = (
            torch.stack([getattr(part, name) for part in shards])
            .repeat_interleave(self.directions, dim=0)
            .repeat(2, *[1] * getattr(shards[0], name).ndim)
            for name in ("x", "y")
        )
        losses = self._losses(replica, torch.cat([weights + offsets, weights - offsets]), x, y)
        count_passes(forward=x.shape[0] * x.shape[1])
        found: npt.NDArray[np.float64] = losses.numpy().reshape(2, len(shards), self.directions)
        return found

    def _losses(
        self, replica: Replica, weights: torch.Tensor, x: torch.Tensor, y: torch.Tensor
    ) -> torch.Tensor:
        """Compute the mean loss of each row's items at its weights, (rows,), in float64."""
        criterion = self.criterion or cross_entropy
        names = [name for name, _ in replica.module.named_parameters()]
        arrays = replica.params.arrays

        def loss(flat: torch.Tensor, items: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            parts = torch.split(flat, list(replica.params.sizes))
            values = {
                n: part.view(array.shape)
                for n, part, array in zip(names, parts, arrays, strict=True)
            }
            outputs = functional_call(replica.module, values, (items,))
            return criterion(outputs, labels).sum(dtype=torch.float64)

        with torch.inference_mode(), evaluating(replica.module):
            return vmap(loss)(weights, x, y) / x.shape[1]


def stacked(step: SplitStep) -> StackedSplitStep:
    """Return a step of the same fields whose forwards run side by side."""
    values: dict[str, Any] = {each.name: getattr(step, each.name) for each in fields(step)}
    return StackedSplitStep(**values)


def directions(sizes: Sequence[int], seeds: Sequence[int]) -> npt.NDArray[np.int8]:
    """Draw whole Rademacher directions at once.

    Args:
        sizes: elements of each tensor, in stream order.
        seeds: of the directions.

    Returns:
        int8, (directions, P): what :func:`zo_core.rademacher` gives of each tensor.
    """
    counts = [-(-size // BLOCK) for size in sizes]
    blocks = np.concatenate([np.arange(count, dtype=np.uint64) for count in counts])
    tensors = np.repeat(np.arange(len(sizes), dtype=np.uint64), counts)
    keys, n = np.array(seeds, np.uint64).repeat(blocks.size), len(seeds)
    key: Any = (keys & np.uint64(0xFFFFFFFF), keys >> np.uint64(32))
    words = philox4x32((np.tile(blocks, n), 0, np.tile(tensors, n), 0), key)
    packed = np.stack(words, axis=-1).astype("<u4").view(np.uint8).reshape(len(seeds), -1)
    bits = np.unpackbits(packed, axis=1, bitorder="little")
    ends = np.cumsum(counts) * BLOCK
    used = [
        bits[:, end - n * BLOCK :][:, :size]
        for end, n, size in zip(ends, counts, sizes, strict=True)
    ]
    return np.int8(1) - np.int8(2) * np.concatenate(used, axis=1).astype(np.int8)
