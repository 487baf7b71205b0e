"""A linear classifier as an exported folder, its graph written by hand: quick, and of any size."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from safetensors.numpy import save_file

from zo_core.digest import digest
from zo_core.edge.manifest import (
    GRAPH_FILE,
    WEIGHTS_FILE,
    Manifest,
    TensorSpec,
    file_digest,
    read_manifest,
)
from zo_core.edge.weights_file import read_tensors
from zo_core.weight_grid import snap_

CLASSES = 10


def linear_folder(folder: Path, features: int = 12) -> Path:
    """Scores = x weight + bias + shift; weight and bias are trained and on the grid."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    weight = rng.normal(0, 0.3, (features, CLASSES)).astype(np.float32)
    bias = rng.normal(0, 0.1, CLASSES).astype(np.float32)
    shift = rng.normal(0, 0.1, CLASSES).astype(np.float32)
    tensors = {"weight": weight, "bias": bias, "shift": shift}
    grid = snap_([weight, bias])
    onnx.save(_graph(tensors), folder / GRAPH_FILE)
    save_file(tensors, folder / WEIGHTS_FILE)
    specs = [TensorSpec(name=n, shape=t.shape, dtype="float32") for n, t in tensors.items()]
    Manifest(
        model="linear",
        input_shape=(features,),
        input_dtype="float32",
        num_classes=CLASSES,
        parameters=tuple(specs[:2]),
        frozen=tuple(specs[2:]),
        exponents=tuple(map(int, grid.exponents)),
        digest=digest([weight, bias], grid, frozen=[shift]).hex(),
        graph_digest=file_digest(folder / GRAPH_FILE),
    ).write(folder)
    return folder


def change_manifest(folder: Path, **fields: Any) -> None:
    """Write other values into a folder's manifest."""
    dataclasses.replace(read_manifest(folder), **fields).write(folder)


def change_weights(folder: Path, **tensors: Any) -> None:
    """Write other tensors into a folder's weights; None to leave one out."""
    changed = read_tensors(folder / WEIGHTS_FILE) | tensors
    kept = {name: tensor for name, tensor in changed.items() if tensor is not None}
    save_file(kept, folder / WEIGHTS_FILE)


def change_graph(folder: Path, old: str, new: str) -> None:
    """Rename an input of a folder's graph, and let the manifest vouch for it."""
    model = onnx.load(folder / GRAPH_FILE)
    for given in model.graph.input:
        given.name = new if given.name == old else given.name
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
    onnx.save(model, folder / GRAPH_FILE)
    change_manifest(folder, graph_digest=file_digest(folder / GRAPH_FILE))


def batch(items: int, features: int = 12) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Noise and labels."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal((items, features), dtype=np.float32)
    return x, rng.integers(0, CLASSES, items)


def reference_loss(tensors: Any, x: Any, y: Any) -> float:
    """The mean cross entropy in float64, as a textbook writes it."""
    weight, bias, shift = (np.asarray(t, np.float64) for t in tensors)
    scores = x.astype(np.float64) @ weight + bias + shift
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return float(-np.log(shares[np.arange(len(y)), y]).mean())


def _graph(tensors: dict[str, Any]) -> onnx.ModelProto:
    def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(operator, inputs.split(), [output], **attributes)

    nodes = [
        node("MatMul", "x weights.weight", "product"),
        node("Add", "product weights.bias", "sum"),
        node("Add", "sum weights.shift", "scores"),
        node("Cast", "scores", "doubles", to=TensorProto.DOUBLE),
        node("LogSoftmax", "doubles", "log_shares", axis=1),
        node("Unsqueeze", "y one", "columns"),
        node("GatherElements", "log_shares columns", "chosen", axis=1),
        node("Neg", "chosen", "losses"),
        node("ReduceSum", "losses", "loss", keepdims=0),
        node("ArgMax", "scores", "best", axis=1, keepdims=0),
        node("Equal", "best y", "hits"),
        node("Cast", "hits", "counts", to=TensorProto.INT64),
        node("ReduceSum", "counts", "correct", keepdims=0),
    ]
    features = tensors["weight"].shape[0]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["items", features]),
        helper.make_tensor_value_info("y", TensorProto.INT64, ["items"]),
        *(
            helper.make_tensor_value_info(f"weights.{name}", TensorProto.FLOAT, tensor.shape)
            for name, tensor in tensors.items()
        ),
    ]
    outputs = [
        helper.make_tensor_value_info("loss", TensorProto.DOUBLE, []),
        helper.make_tensor_value_info("correct", TensorProto.INT64, []),
    ]
    one = helper.make_tensor("one", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "linear", inputs, outputs, [one])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
