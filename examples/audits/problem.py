"""The model and batch that every public implementation is audited on.

Eight matrices of 412 x 412, two of them one tied tensor, and a batch norm in evaluation mode: large
enough to see a copy of the weights, with shapes that are no multiple of 16.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

WIDTH = 412
EPSILON = 1e-3


class Problem(nn.Module):
    """A classifier; called with inputs and targets, it returns the loss."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.first = nn.Linear(32, WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.middle = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(9))
        self.last = nn.Linear(WIDTH, 10)
        self.middle[5].weight = self.middle[2].weight
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator) / WIDTH**0.5)
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
