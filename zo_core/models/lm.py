"""Causal language models by transformers: shapes with weights from the stream, or a checkpoint.

A shape stands for a model whose checkpoint is not at hand.  Its random weights say what memory,
time and bytes the model takes, and nothing about accuracy.  Importing this file needs torch alone;
transformers (extra ``llm``) is imported where a model is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from zo_core.compat.transformers import import_transformers
from zo_core.models.init import init_weights_

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class LMShape:
    """Size of a decoder-only transformer."""

    family: (
        str  # "llama" (rotary positions, gated MLP, RMSNorm) or "opt" (learned, ReLU, LayerNorm)
    )
    width: int  # of the residual stream
    layers: int
    heads: int
    mlp_width: int
    vocabulary: int  # tokens
    positions: int  # longest sequence, tokens
    tied: bool  # one tensor is both the embedding and the output layer


LM_SHAPES: Final[dict[str, LMShape]] = {
    # Zhang et al., "OPT: Open Pre-trained Transformer Language Models", 2022, arXiv 2205.01068,
    # table 1; vocabulary padded as in its checkpoints
    "opt-125m": LMShape(
        family="opt",
        width=768,
        layers=12,
        heads=12,
        mlp_width=3072,
        vocabulary=50272,
        positions=2048,
        tied=True,
    ),
    "opt-1.3b": LMShape(
        family="opt",
        width=2048,
        layers=24,
        heads=32,
        mlp_width=8192,
        vocabulary=50272,
        positions=2048,
        tied=True,
    ),
    # LLaMA's layers at 1.3 B parameters, for Data-Juicer's LLaMA-1.3B (arXiv 2309.02033); its
    # checkpoint's own numbers were not at hand: heads and MLP width are ours
    "datajuicer-1.3b": LMShape(
        family="llama",
        width=2048,
        layers=24,
        heads=16,
        mlp_width=5504,
        vocabulary=32000,
        positions=2048,
        tied=False,
    ),
    # trains on a laptop's core: 0.23 M parameters
    "tiny-llama": LMShape(
        family="llama",
        width=64,
        layers=2,
        heads=4,
        mlp_width=172,
        vocabulary=2049,
        positions=256,
        tied=True,
    ),
}


class LanguageModel(nn.Module):
    """A causal language model as the engine takes it: token ids in, scores of the next token out.

    Args:
        network: a causal language model of transformers.
        end_id: the token that inputs are padded with, to the right; no input holds it otherwise.
            Positions that are padding in each item are not computed.  None: nothing is padding.
    """

    def __init__(self, network: nn.Module, *, end_id: int | None = None) -> None:
        super().__init__()
        self.network = network
        self.end_id = end_id
        config: Any = network.config
        self.vocabulary = int(config.vocab_size)
        self.positions = int(config.max_position_embeddings)
        self._looks_for_packed_texts = config.model_type != "opt"

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Compute the scores: ids (items, positions) to (items, positions used, vocabulary).

        Raises:
            ValueError: the sequence is longer than the model.
        """
        require_length(ids.shape[1], self.positions)
        if self.end_id is not None:
            ids = ids[:, : _used_positions(ids, self.end_id)]
        mask = None
        if ids.is_meta and self._looks_for_packed_texts:  # by reading values, unless it has a mask
            tokens = ids.shape[1]
            mask = torch.ones((1, 1, tokens, tokens), dtype=torch.bool, device="meta")
        scores: torch.Tensor = self.network(
            input_ids=ids, attention_mask=mask, use_cache=False
        ).logits
        return scores


def require_length(tokens: int, positions: int) -> None:
    """Check that a sequence fits a model.

    Raises:
        ValueError: it does not.
    """
    if tokens > positions:
        raise ValueError(
            f"a sequence must have at most the model's {positions} positions, got {tokens} tokens; "
            "shorten it, or leave the instance out"
        )


def build_lm(
    shape: str | LMShape, *, dtype: str = "float32", run_seed: int, end_id: int | None = None
) -> LanguageModel:
    """Build a language model with random weights from the stream, written once where they stay.

    Args:
        shape: a name in :data:`LM_SHAPES`, or a shape.
        dtype: "float32" or "bfloat16".
        run_seed: the run's seed, in [0, 2^64).
        end_id: as :class:`LanguageModel` takes it.

    Raises:
        ValueError: an unknown name or dtype.
        ImportError: transformers is not installed.
    """
    transformers = import_transformers()
    from transformers.initialization import no_init_weights

    config = _config(transformers, find_shape(shape))
    with no_init_weights():  # memory is reserved, and not touched before the stream fills it
        network = transformers.AutoModelForCausalLM.from_config(config, dtype=_dtype(dtype))
    network.tie_weights()
    init_weights_(network, run_seed)
    return LanguageModel(network, end_id=end_id)


def outline_lm(shape: str | LMShape, *, dtype: str = "float32") -> LanguageModel:
    """Build a language model on the meta device: shapes without memory, to count tensors on.

    Raises:
        ValueError: an unknown name or dtype.
        ImportError: transformers is not installed.
    """
    transformers = import_transformers()
    config = _config(transformers, find_shape(shape))
    with torch.device("meta"):
        network = transformers.AutoModelForCausalLM.from_config(config, dtype=_dtype(dtype))
    return LanguageModel(network)


def find_shape(shape: str | LMShape) -> LMShape:
    """Return a shape by name.

    Raises:
        ValueError: the name is unknown.
    """
    if isinstance(shape, LMShape):
        return shape
    if shape not in LM_SHAPES:
        raise ValueError(f"unknown language model {shape!r}; known: {', '.join(LM_SHAPES)}")
    return LM_SHAPES[shape]


def load_lm(source: str, *, dtype: str = "float32", end_id: int | None = None) -> LanguageModel:
    """Load a causal language model's checkpoint; its weights are read to where they stay.

    Args:
        source: a folder in transformers' layout, or a hub id.
        dtype: "float32" or "bfloat16".
        end_id: as :class:`LanguageModel` takes it.

    Raises:
        ValueError: no model there, no weights, not all of them, or an unknown dtype.
        ImportError: transformers is not installed.
    """
    transformers, torch_dtype = import_transformers(), _dtype(dtype)
    is_folder = Path(source).is_dir()
    if not is_folder and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise ValueError(f"model must be a folder or a hub id, got {source!r}: no such folder")
    try:
        network, info = transformers.AutoModelForCausalLM.from_pretrained(
            source, dtype=torch_dtype, output_loading_info=True, local_files_only=is_folder
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"no language model can be loaded from {source!r}: {reason}") from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(
            f"the checkpoint in {source!r} lacks {len(missing)} of the model's tensors, "
            f"{missing[0]} for one; it is damaged, or of another model"
        )
    return LanguageModel(network, end_id=end_id)


def _dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {name!r}")
    return DTYPES[name]


def _config(transformers: Any, shape: LMShape) -> Any:
    common = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.positions,
        "tie_word_embeddings": shape.tied,
    }
    if shape.family == "llama":
        return transformers.LlamaConfig(**common, intermediate_size=shape.mlp_width)
    return transformers.OPTConfig(
        **common, ffn_dim=shape.mlp_width, word_embed_proj_dim=shape.width, dropout=0.0
    )


def _used_positions(ids: torch.Tensor, end_id: int) -> int:
    used = (ids != end_id).any(dim=0).nonzero()
    return int(used[-1]) + 1 if len(used) else 1
