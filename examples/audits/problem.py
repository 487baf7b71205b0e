"""The model and batch that every public implementation is audited on.

Nine layers of 412 x 412, two with one tied matrix, and a batch norm in evaluation mode: large
enough to see a copy of the weights, with shapes that are not a multiple of 16.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

WIDTH = 412
EPSILON = 1e-3


class Problem(nn.Module):
    """A classifier; called with inputs and targets, it returns the loss."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.first = nn.Linear(32, width)
        self.norm = nn.BatchNorm1d(width)
        self.middle = nn.ModuleList(nn.Linear(width, width) for _ in range(9))
        self.last = nn.Linear(width, 10)
        self.middle[5].weight = self.middle[2].weight
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator) / width**0.5)
        self.eval()

    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        """Return scores (items, 10), or the mean cross entropy where there are targets."""
        x = self.norm(self.first(x))
        for layer in self.middle:
            x = x + torch.tanh(layer(x))
        scores: torch.Tensor = self.last(x)
        return scores if y is None else F.cross_entropy(scores, y)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs (16, 32) and targets (16,)."""
    generator = torch.Generator().manual_seed(8)
    x = torch.randn(16, 32, generator=generator)
    return x, torch.randint(10, (16,), generator=generator)
