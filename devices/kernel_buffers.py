"""Buffers that a CPU kernel takes while it runs, and that no operator returns.

torch's dispatcher does not see them, the allocator does; `tests/devices/test_kernel_buffers.py`
compares the two. A function of the operator and its arguments, so that it serves a count of
tensors without their memory as well.

| kernel | buffers |
|---|---|
| convolution, oneDNN | input, weight and output in a blocked layout |
| its backward pass | input, weight (twice) and the output's gradient |
| the same, strided | input, twice |
| torch's own convolution | the input unfolded: each pixel once for each kernel position |
| resizing to at most 128 rows plus columns | input and output, channels last |
| LSTM, oneDNN, in training | a workspace for the backward pass: gates, states, their gradients |
| LSTM, oneDNN, else | the gates of all positions, and the weights in a blocked layout |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

_HALF = (torch.bfloat16, torch.float16)
_SMALL_IMAGE = 20_480  # values, up to which torch computes a single one itself
_SMALL_BATCH = 16  # below it, torch computes 1 x 1 kernels itself if it has one thread
_SMALL_OUTPUT = 128  # rows plus columns, up to which torch resizes channels last


def kernel_bytes(func: Any, args: Sequence[Any], result: Any) -> int:
    """Return the bytes that an operator's CPU kernel holds next to arguments and result.

    Args:
        func: The operator, as a dispatch mode sees it.
        args: Its arguments.
        result: What it returned.
    """
    rule = _RULES.get(func)
    if rule is None or args[0].device.type != "cpu":
        return 0
    return rule(args, result)


def recurrent_workspace_bytes(args: Sequence[Any]) -> int:
    """Return what oneDNN keeps of a training LSTM layer for its backward pass.

    It reserves 9 H + 6.7 max(I, H) floats per position (H hidden units, I inputs, both multiples of
    64) and touches 0.65 of them.

    Args:
        args: Of `aten.mkldnn_rnn_layer`.
    """
    x, hidden, trains = args[0], int(args[10]), bool(args[15])
    positions = x.shape[0] * x.shape[1]
    floats = 9 * hidden + 6.7 * max(x.shape[2], hidden)
    return int(0.65 * positions * floats * x.element_size()) if trains else 0


def _recurrent(args: Sequence[Any], _: Any) -> int:
    """Count an LSTM layer's gates and weights in inference; in training its workspace has them."""
    x, hidden, trains = args[0], int(args[10]), bool(args[15])
    gates = 4 * hidden * x.shape[0] * x.shape[1] * x.element_size()
    return 0 if trains else gates + _size(args[1]) + _size(args[2])


def _convolution(args: Sequence[Any], output: torch.Tensor) -> int:
    x, weight, transposed = args[0], args[1], args[6]
    if not _is_onednns(x, args):
        return _unfolded(x, output, weight)
    copies = _size(x) + _size(weight)
    if transposed:  # an output in the kernel's own layout comes to them
        return max(copies + _size(output), 2 * _size(output))
    return max(copies, _size(output))


def _convolution_backward(args: Sequence[Any], _: Any) -> int:
    gradient, x, weight = args[0], args[1], args[2]
    if not _is_onednns(x, args[1:]):
        return _unfolded(x, gradient, weight)
    if any(step > 1 for step in args[4]):
        return _size(x) + max(_size(gradient), _size(x))
    return _size(gradient) + _size(x) + 2 * _size(weight)


def _is_onednns(x: torch.Tensor, args: Sequence[Any]) -> bool:
    """Whether torch leaves a convolution to oneDNN, by the rule of its `ConvParams::use_mkldnn`.

    Args:
        x: The input.
        args: Input, weight, bias, stride, padding, dilation, transposed, output padding, groups.
    """
    if x.dtype in _HALF:
        return True
    kernel = (1, *args[1].shape[2:])[-2:]  # in one dimension, an image of one row
    small = math.prod(x.shape[:4]) <= _SMALL_IMAGE and min(kernel) <= 3
    single = len(x) == 1 and args[8] == 1 and small
    pointwise = kernel == (1, 1) and {*args[3], *args[5]} == {1}
    slow = pointwise and len(x) < _SMALL_BATCH and torch.get_num_threads() == 1
    return x.dtype == torch.float32 and not (single or slow)


def _resized(args: Sequence[Any], output: torch.Tensor) -> int:
    small = output.shape[-2] + output.shape[-1] <= _SMALL_OUTPUT
    return _size(args[0]) + _size(output) if small else 0


def _unfolded(x: torch.Tensor, output: torch.Tensor, weight: torch.Tensor) -> int:
    positions = math.prod(weight.shape[2:])
    pixels = math.prod(output.shape[2:])
    return 0 if positions == 1 else len(x) * x.shape[1] * positions * pixels * x.element_size()


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


_RULES = {
    torch.ops.aten.convolution.default: _convolution,
    torch.ops.aten.convolution_backward.default: _convolution_backward,
    torch.ops.aten.mkldnn_rnn_layer.default: _recurrent,
    torch.ops.aten.upsample_bilinear2d.default: _resized,
    torch.ops.aten.upsample_nearest2d.default: _resized,
}
