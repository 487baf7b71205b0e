"""Models of other libraries, built for a task: torchvision, timm, transformers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from zo_core.compat.timm import import_timm
from zo_core.compat.torchvision import import_torchvision
from zo_core.compat.transformers import import_transformers
from zo_core.models.init import init_weights_

_CONFIG = "config.json"


def torchvision_module(
    name: str, outputs: int | None, image_size: int | None, run_seed: int
) -> nn.Module:
    """Build torchvision's model, its weights from the stream.

    Args:
        name: in torchvision's list of models.
        outputs: classes; None for torchvision's own number.
        image_size: pixels, where the model depends on it; None for torchvision's own.
        run_seed: the run's seed.

    Raises:
        ValueError: the name is unknown, or the model cannot be built so.
        ImportError: torchvision is not installed.
    """
    models: Any = import_torchvision("models")
    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(f"unknown model torchvision:{name}; known: {', '.join(known)}")
    chosen: dict[str, Any] = {} if outputs is None else {"num_classes": outputs}
    if image_size is not None and name.startswith("vit"):
        chosen["image_size"] = image_size
    if name in ("googlenet", "inception_v3"):
        chosen["init_weights"] = False
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about default weights, which are replaced
        module = _built(f"torchvision:{name}", models.get_model, name, weights=None, **chosen)
    init_weights_(module, run_seed)
    return module


def timm_module(
    name: str, outputs: int | None, channels: int | None, image_size: int | None
) -> nn.Module:
    """Build timm's model without pretrained weights.

    Raises:
        ValueError: the name is unknown, or the model cannot be built so.
        ImportError: timm is not installed.
    """
    timm: Any = import_timm()
    if not timm.is_model(name):
        near = timm.list_models(f"*{name[:6]}*")[:10]
        hint = f"; near it: {', '.join(near)}" if near else "; timm.list_models() lists them"
        raise ValueError(f"unknown model timm:{name}{hint}")
    chosen: dict[str, Any] = {} if outputs is None else {"num_classes": outputs}
    if channels is not None:
        chosen["in_chans"] = channels
    if image_size is not None:
        try:  # models with position embeddings are built for a size; others do not take it
            return cast(nn.Module, timm.create_model(name, img_size=image_size, **chosen))
        except TypeError:
            pass
    return _built(f"timm:{name}", timm.create_model, name, **chosen)


def timm_input_shape(module: Any) -> tuple[int, ...]:
    """Return the shape of one input that timm's model is meant for."""
    config = getattr(module, "pretrained_cfg", None) or module.default_cfg
    return tuple(config["input_size"])


def hf_module(
    source: str, outputs: int | None, channels: int | None, image_size: int | None
) -> nn.Module:
    """Build transformers' model from a config, with the weights that lie beside it, if any.

    Args:
        source: a folder with config.json, such a file, or a hub id.
        outputs: classes; None for the config's.
        channels: of an image; None for the config's.
        image_size: pixels; None for the config's.

    Raises:
        ValueError: no config there, or one that names no architecture.
        ImportError: transformers is not installed.
    """
    transformers: Any = import_transformers()
    path = Path(source)
    is_local = path.exists()
    folder = path.parent if path.is_file() else path
    try:
        config = transformers.AutoConfig.from_pretrained(
            str(folder) if is_local else source, local_files_only=is_local
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"model hf:{source} must be a folder with {_CONFIG}, or a hub id: {reason}"
        ) from error
    _adapt(config, outputs, channels, image_size)
    kind = _architecture(transformers, config, source)
    has_weights = not is_local or any(folder.glob("*.safetensors"))
    if not has_weights:
        return _built(f"hf:{source}", kind, config)
    load = kind.from_pretrained
    where = str(folder) if is_local else source
    return _built(f"hf:{source}", load, where, config=config, ignore_mismatched_sizes=True)


def hf_input_shape(module: Any) -> tuple[int, ...]:
    """Return the shape of one input of transformers' model: an image, or a sequence of tokens."""
    config = module.config
    if hasattr(config, "image_size"):
        size = config.image_size
        height, width = size if isinstance(size, list | tuple) else (size, size)
        return (int(getattr(config, "num_channels", 3)), int(height), int(width))
    return (min(128, int(getattr(config, "max_position_embeddings", 128) or 128)),)


def _adapt(config: Any, outputs: int | None, channels: int | None, image_size: int | None) -> None:
    is_text_model = hasattr(config, "vocab_size")
    if outputs is not None and not _is_causal(config):
        config.num_labels = outputs
    if channels is not None and not is_text_model:
        config.num_channels = channels
    if image_size is not None and hasattr(config, "image_size"):
        config.image_size = image_size


def _is_causal(config: Any) -> bool:
    return any("CausalLM" in name or "LMHead" in name for name in config.architectures or ())


def _architecture(transformers: Any, config: Any, source: str) -> Any:
    names = config.architectures or []
    found = [getattr(transformers, name) for name in names if hasattr(transformers, name)]
    if not found:
        raise ValueError(
            f"model hf:{source}: its {_CONFIG} must name a class of transformers in "
            f"'architectures', for example ViTForImageClassification, got {names}"
        )
    return found[0]


def _built(name: str, make: Any, *positional: Any, **named: Any) -> nn.Module:
    """Call a library's builder; what it raises is about the model that was asked for."""
    try:
        return cast(nn.Module, make(*positional, **named))
    except Exception as error:
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(f"model {name} cannot be built with {named}: {problem}") from error
