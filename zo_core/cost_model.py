"""What a federated round costs, as closed forms: predictions to compare with measurements.

Nothing here looks at a model; the counts go in as numbers.  Formulas are those of ZOWarmUp (Legate,
Rish, Belilovsky, arXiv 2509.03503, appendix A.3) unless they say otherwise.  All results are bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationCounts:
    """Sizes of a model's layer outputs, floats for each image."""

    total: int  # sum over the layers that are counted
    largest: int  # the largest of them


def comm_full(parameters: int) -> int:
    """Bytes of a dense update, up and down alike: P * 32 bit."""
    return FLOAT_BYTES * parameters


def comm_zo_up(directions: int) -> int:
    """Bytes that a ZO client sends per round: S * 32 bit.  Seeds are derived and cost nothing."""
    return FLOAT_BYTES * directions


def comm_zo_down(directions: int, cohort: int) -> int:
    """Bytes that a ZO client receives per round: the whole cohort's scalars, S * K * 32 bit."""
    return FLOAT_BYTES * directions * cohort


def mem_full(parameters: int, activations: ActivationCounts, batch: int) -> int:
    """Memory of a backprop step: (2P + BS * sum of activations) * 32 bit (eq. 4)."""
    return FLOAT_BYTES * (2 * parameters + batch * activations.total)


def mem_zero(parameters: int, activations: ActivationCounts, batch: int, *, copies: int = 2) -> int:
    """Memory of a ZO step: (copies * P + BS * largest activation) * 32 bit (eq. 5).

    The paper has two copies of the parameters.  In-place perturbation needs one.
    """
    return FLOAT_BYTES * (copies * parameters + batch * activations.largest)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOutput:
    """One layer of ResNet18 (CIFAR variant) with its output and parameters."""

    name: str
    floats: int  # output size of one image
    parameters: int
    in_shortcut: bool = False


def resnet18_layers(
    *, in_channels: int = 3, image_size: int = 32, num_classes: int = 10
) -> Iterator[LayerOutput]:
    """List the convolutions, norms and the linear layer of the paper's ResNet18 (figure 8)."""
    pixels, width = image_size**2, 64
    yield LayerOutput(name="conv", floats=64 * pixels, parameters=9 * in_channels * 64)
    yield LayerOutput(name="norm", floats=64 * pixels, parameters=128)
    for stage, outputs in enumerate((64, 128, 256, 512)):
        pixels = image_size**2 // 4**stage
        for block in range(2):
            inputs = width if block == 0 else outputs
            floats = outputs * pixels
            for fan_in in (inputs, outputs):
                yield LayerOutput(name="conv", floats=floats, parameters=9 * fan_in * outputs)
                yield LayerOutput(name="norm", floats=floats, parameters=2 * outputs)
            if inputs != outputs:
                yield LayerOutput(
                    name="conv", floats=floats, parameters=inputs * outputs, in_shortcut=True
                )
                yield LayerOutput(
                    name="norm", floats=floats, parameters=2 * outputs, in_shortcut=True
                )
        width = outputs
    yield LayerOutput(name="linear", floats=num_classes, parameters=512 * num_classes + num_classes)


def resnet18_parameters(**shape: int) -> int:
    """Count ResNet18's parameters in closed form; arguments of :func:`resnet18_layers`."""
    return sum(layer.parameters for layer in resnet18_layers(**shape))


def resnet18_activations(**shape: int) -> ActivationCounts:
    """Count the outputs of ResNet18's layers that hold parameters, each once."""
    floats = [layer.floats for layer in resnet18_layers(**shape)]
    return ActivationCounts(total=sum(floats), largest=max(floats))


def resnet18_listed_activations() -> ActivationCounts:
    """Count activations as the paper's Table 1 must have, to reach its 533.2 MB.

    The paper does not say how it counted.  Its figure is reproduced to all four digits by the
    sum over the rows of a torchinfo listing of the usual nesting at the default depth of 3, plus
    the classifier's 512 * 10: container rows (stages, blocks, shortcuts) repeat the outputs of the
    layers inside them, and the layers inside a shortcut, at depth 4, are not listed.
    """
    layers = list(resnet18_layers())
    listed = sum(
        layer.floats for layer in layers if not layer.in_shortcut and layer.name != "linear"
    )
    stage_outputs = [64 * 1024 >> stage for stage in range(4)]
    containers = sum(floats * (1 + 2 + 2) for floats in stage_outputs)  # stage, blocks, shortcuts
    return ActivationCounts(
        total=listed + containers + 512 * 10, largest=max(layer.floats for layer in layers)
    )


def zo_forwards(directions: int, *, one_sided: bool) -> int:
    """Forwards of a ZO step: two per direction, or one per direction and one more."""
    return directions + 1 if one_sided else 2 * directions
