"""Models of kinds that no library of the sweep has: each a factory of (module, example batch)."""

from __future__ import annotations

import torch
from torch import nn

Built = tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]


class Recurrent(nn.Module):
    """The last output of a recurrent network, through a linear layer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.head = network, nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs, _ = self.network(x)
        scores: torch.Tensor = self.head(outputs[:, -1])
        return scores


class Bag(nn.Module):
    """Embedded features of several tables, as recommenders have them."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(50, 8) for _ in range(4))
        self.head = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 5))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        found = [table(x[:, column]) for column, table in enumerate(self.tables)]
        return {"logits": self.head(torch.cat(found, dim=1))}


class Shared(nn.Module):
    """One module in two places, and a head tied to it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.again = self.first
        self.head = nn.Linear(8, 8, bias=False)
        self.head.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.again(self.first(x).relu())
        return self.head(hidden), hidden


class Complex(nn.Module):
    """A Fourier layer whose weights are complex numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.randn(9, dtype=torch.complex64))
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        filtered = torch.fft.irfft(torch.fft.rfft(x) * self.filter, n=16)
        scores: torch.Tensor = self.head(filtered)
        return scores


def _labels() -> torch.Tensor:
    return torch.tensor([0, 1, 4, 2])


def conv1d() -> Built:
    module = nn.Sequential(
        *(nn.Conv1d(2, 8, 5, stride=2), nn.GroupNorm(2, 8), nn.GELU()),
        *(nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(32, 5)),
    )
    return module, (torch.randn(4, 2, 64), _labels())


def conv3d() -> Built:
    module = nn.Sequential(
        *(nn.Conv3d(1, 8, 3, stride=2), nn.BatchNorm3d(8), nn.ReLU()),
        *(nn.AdaptiveAvgPool3d(2), nn.Flatten(), nn.Linear(64, 5)),
    )
    return module, (torch.randn(4, 1, 9, 16, 16), _labels())


def lstm() -> Built:
    return Recurrent(nn.LSTM(6, 16, batch_first=True)), (torch.randn(4, 12, 6), _labels())


def gru() -> Built:
    return Recurrent(nn.GRU(6, 16, batch_first=True)), (torch.randn(4, 12, 6), _labels())


def embeddings() -> Built:
    return Bag(), (torch.randint(50, (4, 4)), _labels())


def encoder() -> Built:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    module = nn.Sequential(nn.Embedding(50, 16), nn.TransformerEncoder(layer, 2), nn.Linear(16, 50))
    return module, (torch.randint(50, (4, 9)), torch.randint(50, (4, 9)))


def spectral() -> Built:
    norm = nn.utils.parametrizations.spectral_norm
    module = nn.Sequential(norm(nn.Linear(16, 16)), nn.ReLU(), norm(nn.Linear(16, 5)))
    return module, (torch.randn(4, 16), _labels())


def shared() -> Built:
    return Shared(), (torch.randn(4, 8), _labels())


def complex_weights() -> Built:
    return Complex(), (torch.randn(4, 16), _labels())


def quantised() -> Built:
    module = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 5))
    made: nn.Module = torch.ao.quantization.quantize_dynamic(module, {nn.Linear})
    return made, (torch.randn(4, 16), _labels())
