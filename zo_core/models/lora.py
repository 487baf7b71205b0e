"""LoRA by peft: low-rank adapters as the only trainable weights of a language model.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv 2106.09685.  A
zeroth-order step then perturbs, sends and replays directions of a far smaller space.
"""

from __future__ import annotations

from typing import Final

from torch import nn

from zo_core.compat.transformers import import_peft
from zo_core.models.init import init_weights_
from zo_core.models.lm import LanguageModel

TARGETS: Final = ("q_proj", "v_proj")  # as in the paper; LLaMA and OPT name them alike


def add_lora_(model: LanguageModel, *, rank: int = 8, run_seed: int) -> None:
    """Freeze a model and give its attention adapters W + B A, in place; B begins as zero.

    Args:
        model: a language model.
        rank: of A and B, >= 1; their product is scaled by 2.
        run_seed: A follows from it, on every device alike.

    Raises:
        ValueError: rank < 1, or the model has no layer of that name.
        ImportError: peft is not installed.
    """
    if rank < 1:
        raise ValueError(f"rank must be >= 1, got {rank}")
    peft = import_peft()
    config = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=list(TARGETS)
    )
    peft.inject_adapter_in_model(config, model.network)
    down = [module for name, module in model.named_modules() if name.endswith("lora_A.default")]
    init_weights_(nn.ModuleList(down), run_seed)
