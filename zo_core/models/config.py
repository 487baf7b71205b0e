"""What every model is built from: one frozen config, and the norm layers by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from torch import nn

NORMS: Final[dict[str, Callable[[int, int], nn.Module]]] = {  # (channels, groups) -> layer
    "group": lambda channels, groups: nn.GroupNorm(groups, channels),
    "batch": lambda channels, groups: nn.BatchNorm2d(channels),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Shape of a model, apart from its name.

    Raises:
        ValueError: an unknown norm, or a width outside (0, 1].
    """

    num_classes: int  # outputs of the last layer
    in_channels: int  # channels of an image
    image_size: int  # height and width of an image, pixels
    norm: str = "group"  # a name in NORMS; convolutional models only
    width: float = 1.0  # factor on every hidden channel count; convolutional models only

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"unknown norm {self.norm!r}; known: {', '.join(NORMS)}")
        if not 0.0 < self.width <= 1.0:
            raise ValueError(f"width must be in (0, 1], got {self.width}")

    def channels(self, full: int) -> int:
        """Scale a channel count by the width, rounding down."""
        return int(full * self.width)

    def norm_layer(self, full: int, *, groups: int) -> nn.Module:
        """Build the config's norm layer.

        Args:
            full: channels at width 1.
            groups: GroupNorm's at width 1; a narrower layer keeps the channels of a group.
        """
        return NORMS[self.norm](self.channels(full), max(1, int(groups * self.width)))
