"""An exported graph made over for an experiment: by 8-bit integers, or with constant weights.

The first keeps the float32 weights on the grid as inputs and quantises, at every forward and by the
range that they have then, what enters each convolution: a perturbation acts before the rounding,
and one layer's rounded copy is held at a time.  The second bakes the weights in, as a runtime likes
them: what it would gain by laying them out ahead.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from zo_core.edge.manifest import GRAPH_FILE, WEIGHTS_FILE, file_digest, read_manifest


def write_quantised(folder: Path, out: Path) -> None:
    """Write an exported model whose convolutions multiply 8-bit integers.

    Args:
        folder: of the exported model.
        out: to be created; a client loads it as any export.
    """
    import onnx

    graph = onnx.load(folder / GRAPH_FILE)
    nodes = [made for node in graph.graph.node for made in _quantised(node)]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    out.mkdir()
    onnx.save(graph, out / GRAPH_FILE)
    shutil.copy(folder / WEIGHTS_FILE, out / WEIGHTS_FILE)
    manifest = read_manifest(folder)
    replace(manifest, graph_digest=file_digest(out / GRAPH_FILE)).write(out)


def write_constant(folder: Path, path: Path) -> None:
    """Write an exported model's graph with its weights as constants: inputs are x and y alone."""
    import onnx

    model = onnx.load(folder / GRAPH_FILE)
    values = load_file(folder / WEIGHTS_FILE)
    names = {spec.input_name: spec.name for spec in read_manifest(folder).tensors}
    given = list(model.graph.input)
    del model.graph.input[:]
    model.graph.input.extend(one for one in given if one.name not in names)
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(values[name], one.name)
        for one in given
        if (name := names.get(one.name)) is not None
    )
    onnx.save(model, path)


def _quantised(node: Any) -> Iterator[Any]:
    if node.op_type != "Conv":
        yield node
        return
    from onnx import TensorProto, helper

    output, parts = node.output[0], []
    for name, what in zip(node.input[:2], ("x", "w"), strict=True):
        parts.append([f"{output}.{what}.{kind}" for kind in ("int8", "scale", "zero")])
        yield helper.make_node("DynamicQuantizeLinear", [name], parts[-1])
    (x, x_scale, x_zero), (w, w_scale, w_zero) = parts
    product = helper.make_node("ConvInteger", [x, w, x_zero, w_zero], [f"{output}.int32"])
    product.attribute.extend(node.attribute)
    yield product
    yield helper.make_node("Cast", [f"{output}.int32"], [f"{output}.sum"], to=TensorProto.FLOAT)
    yield helper.make_node("Mul", [x_scale, w_scale], [f"{output}.scale"])
    scaled = output if len(node.input) == 2 else f"{output}.scaled"
    yield helper.make_node("Mul", [f"{output}.sum", f"{output}.scale"], [scaled])
    if scaled != output:
        yield from _add_bias(node.input[2], scaled, output)


def _add_bias(bias: str, scaled: str, output: str) -> Iterator[Any]:
    """Add a bias (channels,) to (items, channels, height, width)."""
    from onnx import helper

    axes = f"{output}.axes"
    yield helper.make_node("Constant", [], [axes], value_ints=[1, 2])
    yield helper.make_node("Unsqueeze", [bias, axes], [f"{output}.bias"])
    yield helper.make_node("Add", [scaled, f"{output}.bias"], [output])
