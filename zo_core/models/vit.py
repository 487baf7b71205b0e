"""The paper's vision transformer, by torchvision's implementation."""

from __future__ import annotations

from typing import Final, cast

from torch import nn

from zo_core.compat.torchvision import import_torchvision
from zo_core.models.config import ModelConfig

PATCH_SIZE: Final = 4
HIDDEN_DIM: Final = 512
MLP_DIM: Final = 2048
BLOCKS: Final = 6
HEADS: Final = 8  # ours: the paper's is not known, and no parameter count depends on it


def paper_vit(config: ModelConfig) -> nn.Module:
    """Build the paper's ViT: patch 4, dimension 512, 6 blocks, MLP 2048, no dropout.

    For 32x32 RGB images and 10 classes it has 18,979,338 parameters.  The paper's figure 9 (Legate,
    Rish, Belilovsky, 2025, arXiv 2509.03503) prints 18,944,522: it leaves out the position
    embedding, the class token and the last LayerNorm.

    Raises:
        ValueError: a norm or width other than the default (the network has LayerNorm and one
            width), or an image size that the patch size does not divide.
    """
    if config.norm != "group" or config.width != 1.0:
        raise ValueError(
            f"vit has LayerNorm and one width, got norm {config.norm!r} and width {config.width}:"
            " leave both at their defaults"
        )
    if config.image_size % PATCH_SIZE:
        raise ValueError(
            f"image_size must be a multiple of {PATCH_SIZE} for vit, got {config.image_size}"
        )
    module = cast(
        nn.Module,
        import_torchvision("models.vision_transformer").VisionTransformer(
            image_size=config.image_size,
            patch_size=PATCH_SIZE,
            num_layers=BLOCKS,
            num_heads=HEADS,
            hidden_dim=HIDDEN_DIM,
            mlp_dim=MLP_DIM,
            num_classes=config.num_classes,
        ),
    )
    # torchvision's takes RGB only; the patch layer is all that depends on the channels
    module.conv_proj = nn.Conv2d(config.in_channels, HIDDEN_DIM, PATCH_SIZE, PATCH_SIZE)
    return module
