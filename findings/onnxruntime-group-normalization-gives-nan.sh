#!/bin/sh
# GroupNormalization of opset 21 loses its variance in ONNX Runtime 1.32.0, and then gives NaN.
#
# Package:  onnxruntime 1.32.0 (https://pypi.org/project/onnxruntime/1.32.0/), onnx 1.23.2, NumPy 2.x, on the CPU
# Expected: y = scale * (x - mean) / sqrt(variance + epsilon) + bias
#           (https://onnx.ai/onnx/operators/onnx__GroupNormalization.html), as InstanceNormalization computes it in
#           the same library on the same numbers
# Seen:     there is no kernel for it; its function body takes the variance as E[x^2] - E[x]^2 in float32. The error
#           grows with the square of mean / spread. Where the difference is negative, every output is NaN.
#           2026-11-28, Python 3.11.7, NumPy 2.4, x86-64:
#
#           mean of x  largest error, GroupNormalization  InstanceNormalization
#                   0                            2.0e-07                1.6e-07
#                 100                            9.1e-04                6.1e-06
#                1000                            1.7e-01                6.0e-05
#               10000                                nan                6.9e-04
#
# Exits with 0 while this is so, with 1 as soon as it changes.
set -eu
PYTHON=${PYTHON:-python3}
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
PINS="numpy==2.4.6"
"$PYTHON" -m pip install -q --dry-run --no-deps --no-index $PINS 2>/dev/null ||
    "$PYTHON" -m pip install -q --target "$FOLDER" $PINS
"$PYTHON" -m pip install -q --target "$FOLDER" onnxruntime==1.32.0 onnx==1.23.2
PYTHONPATH="$FOLDER" "$PYTHON" - <<'EOF'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

GROUPS, SIZE, EPSILON = 2, 128, 1e-5


def session(operator, **attributes):
    """One group is one channel, so that both operators normalize over the same numbers."""
    node = helper.make_node(operator, ["x", "scale", "bias"], ["y"], epsilon=EPSILON, **attributes)
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, GROUPS, SIZE]) for name in "xy"
    )
    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, [GROUPS], np.full(GROUPS, value, np.float32))
        for name, value in (("scale", 1), ("bias", 0))
    ]
    graph = helper.make_graph([node], "norm", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


sessions = {
    "GroupNormalization": session("GroupNormalization", num_groups=GROUPS),
    "InstanceNormalization": session("InstanceNormalization"),
}
errors = {}
print("mean of x  largest error, GroupNormalization  InstanceNormalization")
for mean in (0, 100, 1000, 10000):
    x = (mean + np.random.RandomState(0).standard_normal((1, GROUPS, SIZE))).astype(np.float32)
    wide = x.astype(np.float64)
    centred = wide - wide.mean(axis=2, keepdims=True)
    exact = centred / np.sqrt(np.square(centred).mean(axis=2, keepdims=True) + EPSILON)
    group, instance = (
        float(np.abs(s.run(None, {"x": x})[0] - exact).max()) for s in sessions.values()
    )
    errors[mean] = (group, instance)
    print(f"{mean:9}  {group:33.1e}  {instance:21.1e}")
good = max(instance for _, instance in errors.values()) < 0.01
sys.exit(not (good and np.isnan(errors[10000][0]) and errors[1000][0] > 0.01))
EOF
