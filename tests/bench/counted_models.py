"""Models of many layer types, as factories that a fresh process calls by name."""

from __future__ import annotations

import torch
from torch import nn

Batch = tuple[torch.Tensor, torch.Tensor]
_WIDTH, _HEADS = 64, 4


class _Pooled(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(_WIDTH, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.body(x)
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        scores: torch.Tensor = self.head(hidden.mean(1))
        return scores


class _Fused(nn.Module):
    """Attention by the operator that picks its own algorithm."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Linear(_WIDTH, 3 * _WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.inputs(x).unflatten(-1, (3, _HEADS, -1)).unbind(-3)
        q, k, v = (part.transpose(1, 2) for part in parts)
        attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return attended.transpose(1, 2).flatten(2)


def _layer() -> nn.Module:
    return nn.TransformerEncoderLayer(_WIDTH, _HEADS, 4 * _WIDTH, batch_first=True)


def _sequences(body: nn.Module, items: int = 4, tokens: int = 1024) -> tuple[nn.Module, Batch]:
    return _Pooled(body), (torch.randn(items, tokens, _WIDTH), torch.arange(items) % 10)


def _images(*body: nn.Module) -> tuple[nn.Module, Batch]:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(_WIDTH, 10))
    return nn.Sequential(*body, *head), (torch.randn(16, 3, 64, 64), torch.arange(16) % 10)


def encoder() -> tuple[nn.Module, Batch]:
    """Make an encoder, whose scores the fast path would store."""
    return _sequences(nn.TransformerEncoder(_layer(), 2))


def fused_attention() -> tuple[nn.Module, Batch]:
    """Make one layer of fused attention."""
    return _sequences(_Fused(), items=16)


def lstm() -> tuple[nn.Module, Batch]:
    """Make a recurrent model."""
    return _sequences(nn.LSTM(_WIDTH, _WIDTH, 2, batch_first=True), items=8)


def many_classes() -> tuple[nn.Module, Batch]:
    """Make a classifier whose scores are its largest tensor."""
    module = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 20_000))
    return module, (torch.randn(512, 64), torch.arange(512))


def next_token() -> tuple[nn.Module, Batch]:
    """Make a transformer of 8,000 classes and a target for each token."""
    tokens = torch.arange(4 * 256).view(4, 256) % 8000
    module = nn.Sequential(nn.Embedding(8000, _WIDTH), _layer(), nn.Linear(_WIDTH, 8000))
    return module, (tokens, tokens)


def convolutions() -> tuple[nn.Module, Batch]:
    """Make convolutions of several kinds."""
    return _images(
        *(nn.Conv2d(3, _WIDTH, 3, padding=1), nn.GroupNorm(8, _WIDTH), nn.ReLU()),
        *(nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, groups=_WIDTH), nn.SiLU()),
        *(nn.Conv2d(_WIDTH, _WIDTH, 3, padding=2, dilation=2), nn.BatchNorm2d(_WIDTH)),
    )


def resized() -> tuple[nn.Module, Batch]:
    """Make a network that shrinks and enlarges its maps."""
    return _images(
        *(nn.Conv2d(3, _WIDTH, 1), nn.MaxPool2d(2), nn.Hardswish()),
        *(nn.ConvTranspose2d(_WIDTH, _WIDTH, 2, stride=2), nn.PReLU()),
        nn.Upsample(scale_factor=2, mode="bilinear"),
    )
