"""How a model is named on the command line, in a record and in a case; nothing is built here.

| name | stands for |
|---|---|
| ``resnet18`` | a model of the suite, at the suite's image size |
| ``torchvision:resnet18`` | torchvision's classifier, at 224 pixels |
| ``timm:resnet10t`` | timm's, at its own size |
| ``hf:FOLDER`` | a model of transformers: a folder with its config, or a hub id |
| ``lm:opt-125m`` | a language model: a shape with random weights, a folder or hub id |
| ``lm:opt-125m:bfloat16`` | the same in another dtype |
| ``lm:opt-125m:lora8`` | the same with adapters of rank 8 as its only trainable weights |
| ``package.module:factory`` | the user's own, from a function without arguments |

``@3x64x64`` after any of them sets the shape of one input, ``@128`` the tokens of a sequence.  So
one string says it all, and can be handed to a fresh process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from zo_core.import_by_name import is_own

Kind = Literal["suite", "torchvision", "timm", "hf", "lm", "factory"]

SUITE_SHAPES = {
    "resnet18": (3, 32, 32),
    "vit": (3, 32, 32),
    "cnn": (1, 8, 8),
    "small_resnet": (3, 32, 32),
}
TORCHVISION_SHAPE = (3, 224, 224)
LM_POSITIONS = 128  # tokens of a sequence
LM_DTYPES = ("float32", "bfloat16")
_LORA = re.compile(r"lora([1-9]\d*)")
_LIBRARIES: dict[str, Kind] = {"torchvision": "torchvision", "timm": "timm", "hf": "hf"}
_SUITE_DIMENSIONS = 3  # channels, height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """A model's name, taken apart."""

    kind: Kind
    module: str  # package.module of a factory, else ""
    name: str  # in the suite, in torchvision, of the factory, or a language model's
    input_shape: tuple[int, ...] | None  # of one item; None: the model itself says it
    is_default_shape: bool
    dtype: str = "float32"  # of a language model
    lora_rank: int | None = None  # of a language model's adapters; None: all of it trains

    @property
    def label(self) -> str:
        """The name as part of a case: only letters, digits, dots, dashes and underscores.

        >>> parse_model("torchvision:resnet18@3x64x64").label
        'torchvision-resnet18-3x64x64'
        """
        prefix = {"suite": [], "factory": [self.module]}.get(self.kind, [self.kind])
        name = re.sub(r"[^\w.-]+", "-", self.name).strip("-")
        dtype = [] if self.dtype == "float32" else [self.dtype]
        lora = [] if self.lora_rank is None else [f"lora{self.lora_rank}"]
        shape = [] if self.is_default_shape else ["x".join(map(str, self.input_shape or ()))]
        return "-".join([*prefix, name, *dtype, *lora, *shape])


def parse_model(text: str) -> ModelName:
    """Take a model's name apart.

    Args:
        text: see the head of this file.

    Raises:
        ValueError: the name has no known form, or is not a model of the suite.
    """
    before, at, shape_text = text.partition("@")
    shape = parse_input_shape(shape_text) if at else None
    if before.startswith("lm:"):
        return _language_model(before.removeprefix("lm:"), shape)
    if ":" not in before:
        return _suite_model(before, shape)
    module, _, name = before.partition(":")
    if module in _LIBRARIES and name:
        default = TORCHVISION_SHAPE if module == "torchvision" else None
        return _made(_LIBRARIES[module], "", name, shape, default)
    if not is_own(before):
        raise ValueError(f"model must be {_FORMS}, got {text!r}")
    return _made("factory", module, name, shape, None)


def with_input_shape(model: str, input_shape: str | None) -> str:
    """Add the command line's --input-shape to a model's name.

    >>> with_input_shape("my.models:tiny", "3,32,32")
    'my.models:tiny@3x32x32'

    Raises:
        ValueError: the shape is not a list of whole numbers, or is given twice.
    """
    if input_shape is None:
        return model
    if "@" in model:
        raise ValueError(f"the input shape is given twice: {model!r} and {input_shape!r}")
    return f"{model}@{'x'.join(map(str, parse_input_shape(input_shape)))}"


def parse_input_shape(text: str) -> tuple[int, ...]:
    """Parse the shape of one input, e.g. "3,224,224" or "3x224x224".

    Raises:
        ValueError: it is not a list of whole numbers > 0.
    """
    parts = re.split("[,x]", text)
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"input shape must be whole numbers > 0, e.g. 3,224,224, got {text!r}")
    return tuple(map(int, parts))


def model_label(model: str) -> str:
    """Return the part that stands for a model in the name of a case."""
    return parse_model(model).label


_FORMS = (
    f"one of {', '.join(SUITE_SHAPES)}, torchvision:NAME, timm:NAME, hf:FOLDER, lm:NAME, or "
    "package.module:factory (a function without arguments)"
)


def _suite_model(name: str, shape: tuple[int, ...] | None) -> ModelName:
    if name not in SUITE_SHAPES:
        raise ValueError(f"unknown model {name!r}; model must be {_FORMS}")
    if shape is not None and (len(shape) != _SUITE_DIMENSIONS or shape[1] != shape[2]):
        raise ValueError(f"{name} takes square images, channels,size,size, got {shape}")
    return _made("suite", "", name, shape, SUITE_SHAPES[name])


def _language_model(text: str, shape: tuple[int, ...] | None) -> ModelName:
    name, *options = text.split(":")
    dtypes = [option for option in options if option in LM_DTYPES]
    ranks = [int(found[1]) for option in options if (found := _LORA.fullmatch(option))]
    if not name or len(dtypes) > 1 or len(ranks) > 1 or len(dtypes) + len(ranks) < len(options):
        raise ValueError(
            f"a language model must be lm:NAME, and after it :DTYPE, one of "
            f"{', '.join(LM_DTYPES)}, or :loraRANK, RANK >= 1, or both, got 'lm:{text}'"
        )
    if shape is not None and len(shape) != 1:
        raise ValueError(f"lm:{name} takes a number of tokens, e.g. @128, got {shape}")
    made = _made("lm", "", name, shape, (LM_POSITIONS,))
    return replace(
        made,
        dtype=dtypes[0] if dtypes else "float32",
        lora_rank=ranks[0] if ranks else None,
    )


def _made(
    kind: Kind,
    module: str,
    name: str,
    shape: tuple[int, ...] | None,
    default: tuple[int, ...] | None,
) -> ModelName:
    return ModelName(
        kind=kind,
        module=module,
        name=name,
        input_shape=shape or default,
        is_default_shape=shape is None or shape == default,
    )
