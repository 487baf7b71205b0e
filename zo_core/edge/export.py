"""A torch module to an ONNX graph whose weights are inputs, for clients without torch.

The graph computes (x, y, tensors) -> (loss summed over the batch, items correct) for any batch
size.  Norm layers are in evaluation mode; every parameter and buffer is an input, so that none is
folded into another and a perturbation reaches all of them.  The last layer and the cross entropy of
its scores are computed in float64: in float32 the difference of two nearly equal losses would lose
digits, most of them in that layer's sums, which no later one averages out.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from zo_core.digest import digest
from zo_core.edge.export_reference import reference_of
from zo_core.edge.manifest import (
    CORRECT,
    GRAPH_FILE,
    INPUT,
    LABELS,
    LOSS,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    Manifest,
    TensorSpec,
    file_digest,
)
from zo_core.loss.module_loss import evaluating, mean_loss
from zo_core.loss.outputs import scores_of
from zo_core.parameters import parameters as numbered_parameters
from zo_core.shared_memory import first_names
from zo_core.weight_grid import Grid
from zo_core.whole_files import replacing_files

# From 21 on, ONNX Runtime computes GroupNormalization's variance as E[x^2] - E[x]^2 in float32: an
# error of 0.03 at mean 100 and spread 1. In opset 18 it is InstanceNormalization, which is exact.
_OPSET = 18
_TRIAL_ITEMS = 3  # of the batch that graph and module are compared on; 1 and 2 are special sizes
_TOLERANCE = 1e-4  # relative, of the two losses: float32 sums in another order
_OPERATOR = re.compile(r"No ONNX function found for <OpOverload\(op='([^']+)'")


class ExportError(ValueError):
    """A module that has no such graph."""


def export_model(
    module: nn.Module,
    folder: Path,
    *,
    example: tuple[torch.Tensor, torch.Tensor],
    name: str,
    grid: Grid | None = None,
) -> Manifest:
    """Write a module's graph, weights and manifest to a folder.

    A tied tensor is one input of the graph, under its first name.

    Args:
        module: maps x to scores (items, classes); on the CPU.
        folder: to be created, or overwritten file by file.
        example: x (items, ...) and labels (items,), int64, as the clients' data will be.
        name: what the model is called; for people.
        grid: the weights' exponents where they are snapped.

    Returns:
        The manifest.

    Raises:
        ExportError: an operator has no ONNX counterpart, the module's control flow depends on its
            data, or the graph's loss is not the module's; the folder is as before.
        ValueError: parameters share memory without being tied.
        ImportError: onnx or onnxscript is not installed; the message names the extra.
    """
    _require_extra()
    x, y = (_repeated(part) for part in example)
    if y.ndim != 1:
        raise ExportError(
            f"labels must be one class per item, (items,), got shape {tuple(y.shape)}: a client "
            "without torch trains classifiers; train sequences and numbers with torch"
        )
    numbered = numbered_parameters(module)
    parameters = dict(zip(numbered.names, numbered.arrays, strict=True))
    still = {n: p.detach() for n, p in module.named_parameters() if not p.requires_grad}
    frozen = still | dict(module.named_buffers())
    specs = [_specs(tensors) for tensors in (parameters, frozen)]
    with replacing_files(folder, last=MANIFEST_FILE) as made, evaluating(module):
        tensors = parameters | frozen
        _write_graph(module, tensors, specs[0] + specs[1], (x, y), made / GRAPH_FILE)
        with torch.inference_mode():
            num_classes = scores_of(module(x)).shape[1]
        manifest = Manifest(
            model=name,
            input_shape=tuple(x.shape[1:]),
            input_dtype=_dtype(x),
            num_classes=num_classes,
            parameters=specs[0],
            frozen=specs[1],
            exponents=None if grid is None else tuple(map(int, grid.exponents)),
            digest=digest(module, grid).hex(),
            graph_digest=file_digest(made / GRAPH_FILE),
            reference=reference_of(module, x, num_classes, grid),
        )
        save_file(
            {n: t.clone(memory_format=torch.contiguous_format) for n, t in tensors.items()},
            made / WEIGHTS_FILE,
        )
        manifest.write(made)
        _require_same_loss(module, x, y, made)
    return manifest


class _LossGraph(nn.Module):
    """The module, its weights taken from the arguments, and the loss of its scores."""

    def __init__(self, module: nn.Module, names: list[str]) -> None:
        super().__init__()
        self._module = module
        self._names = names
        self._ties = _ties(module)

    def forward(
        self, x: torch.Tensor, y: torch.Tensor, tensors: list[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        named = dict(zip(self._names, tensors, strict=True))
        for tie in self._ties:
            named[tie.name] = tie.view(named[tie.first])
        scores = scores_of(torch.func.functional_call(self._module, named, (x,)))
        log_shares = F.log_softmax(scores.double(), dim=1)
        loss = -log_shares.gather(1, y[:, None]).sum()
        return loss, (scores.argmax(dim=1) == y).sum()


@dataclass(frozen=True, slots=True)
class _Tie:
    """A parameter that is another one in memory, in another order of its dimensions."""

    name: str
    first: str  # the name under which the tensor is an input
    flatten: tuple[int, ...]  # the first one's dimensions in the order of memory
    shape: tuple[int, ...]  # this one's sizes in that order
    permute: tuple[int, ...]  # and from there to its own

    def view(self, first: torch.Tensor) -> torch.Tensor:
        return first.permute(self.flatten).reshape(self.shape).permute(self.permute)


def _ties(module: nn.Module) -> list[_Tie]:
    trained = {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}
    ties = []
    for name, first in first_names(trained, trained).items():
        if name != first:
            order = _memory_order(trained[name])
            ties.append(
                _Tie(
                    name=name,
                    first=first,
                    flatten=_memory_order(trained[first]),
                    shape=tuple(trained[name].shape[dim] for dim in order),
                    permute=tuple(sorted(range(len(order)), key=order.__getitem__)),
                )
            )
    return ties


def _memory_order(tensor: torch.Tensor) -> tuple[int, ...]:
    """A tensor's dimensions, the one of the longest stride first."""
    return tuple(sorted(range(tensor.ndim), key=tensor.stride, reverse=True))


def _write_graph(
    module: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    specs: tuple[TensorSpec, ...],
    batch: tuple[torch.Tensor, torch.Tensor],
    path: Path,
) -> None:
    items = torch.export.Dim("items")
    graph = _LossGraph(module, list(tensors)).eval()
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")  # torch's own, on its way
            program = torch.onnx.export(
                graph,
                (*batch, list(tensors.values())),
                dynamo=True,
                dynamic_shapes={"x": {0: items}, "y": {0: items}, "tensors": [None] * len(tensors)},
                input_names=[INPUT, LABELS, *(spec.input_name for spec in specs)],
                output_names=[LOSS, CORRECT],
                opset_version=_OPSET,
                verbose=False,
            )
            program.save(str(path), external_data=False)  # type: ignore[union-attr]
    except Exception as error:  # of many classes, none of them public
        raise ExportError(_reason(error)) from error
    onnx: Any = import_module("onnx")
    model = onnx.load(path)
    _strip(model.graph)
    _score_in_float64(model.graph, onnx)
    onnx.save(model, path)


def _strip(graph: Any) -> None:
    """Take out where each operator stood in the source: nine tenths of the file."""
    for part in (graph, *graph.node, *graph.value_info, *graph.input):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _score_in_float64(graph: Any, onnx: Any) -> None:
    """Where the scores are a linear layer's, cast what it takes instead of what it gives."""
    double = onnx.TensorProto.DOUBLE
    makers = {node.output[0]: node for node in graph.node}
    softmax = [node for node in graph.node if node.op_type == "LogSoftmax"][-1]
    cast = makers.get(softmax.input[0])
    layer = makers.get(cast.input[0]) if cast is not None and cast.op_type == "Cast" else None
    if layer is None or layer.op_type != "Gemm":
        return
    scores = layer.output[0]
    position = list(graph.node).index(layer)
    softmax.input[0] = scores
    graph.node.remove(cast)
    for number, name in enumerate(layer.input):
        layer.input[number] = f"{name}.float64"
        wider = onnx.helper.make_node("Cast", [name], [layer.input[number]], to=double)
        graph.node.insert(position, wider)
    for value in graph.value_info:
        if value.name == scores:
            value.type.tensor_type.elem_type = double


def _reason(error: BaseException) -> str:
    """Say which operator it was, if it was one; else the innermost error's first line."""
    innermost = error
    cause: BaseException | None = error
    while cause is not None:
        found = _OPERATOR.search(str(cause))
        if found:
            return (
                f"operator {found[1]} has no ONNX counterpart; "
                "replace it in the module, or train this model with torch"
            )
        innermost, cause = cause, cause.__cause__
    first = str(innermost).strip().partition("\n")[0]
    return f"the module has no static graph: {type(innermost).__name__}: {first}"


def _require_same_loss(module: nn.Module, x: torch.Tensor, y: torch.Tensor, folder: Path) -> None:
    """Load what was written as a client does and compare losses on the example."""
    from zo_core.edge.load import load_replica

    ours, theirs = load_replica(folder).mean_loss(x, y), mean_loss(module, x, y)
    if not abs(ours - theirs) <= _TOLERANCE * max(abs(theirs), 1.0):
        raise ExportError(
            f"the graph's loss on the example is {ours}, the module's {theirs}: "
            "the module computes something else when exported"
        )


def _repeated(part: torch.Tensor) -> torch.Tensor:
    return part[torch.arange(_TRIAL_ITEMS) % len(part)]


def _specs(tensors: Mapping[str, torch.Tensor]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name=name, shape=tuple(tensor.shape), dtype=_dtype(tensor))
        for name, tensor in tensors.items()
    )


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _require_extra() -> None:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ImportError(f'exporting needs {", ".join(missing)}: pip install "zobench[export]"')
