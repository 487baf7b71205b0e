#!/bin/sh
# torchzero 0.4.4 holds vectors of the model's size during a zeroth-order step.
#
# Package:  torchzero 0.4.4 (https://pypi.org/project/torchzero/0.4.4/), torch 2.x on a CPU
# Expected: its MeZO is described as "memory-efficient zeroth order optimizer", which needs no
#           vector of the model's size.
# Seen:     At their most during a step, tensors of 2 and 3 times the weights' size, of a model of
#           16 matrices of 256 x 256, 2026-11-28, Python 3.11.7, torch 2.13:
#
#           MeZO: 2.0 copies of the weights
#           SPSA: 3.0 copies of the weights
#
# Exits with 0 while this is so, with 1 as soon as it changes.
set -eu
PYTHON=${PYTHON:-python3}
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
PINS="torch==2.13.0 numpy==2.4.6"
"$PYTHON" -m pip install -q --dry-run --no-deps --no-index $PINS 2>/dev/null ||
    "$PYTHON" -m pip install -q --target "$FOLDER" $PINS
"$PYTHON" -m pip install -q --no-deps --target "$FOLDER" torchzero==0.4.4
PYTHONPATH="$FOLDER" "$PYTHON" - <<'EOF'
import sys
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
import torchzero


class Live(TorchDispatchMode):
    """The largest sum of elements in storages that operators made and that are still there."""

    def __init__(self):
        super().__init__()
        self.sizes, self.peak = {}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in known and storage._cdata not in self.sizes:
                    self.sizes[storage._cdata] = storage.nbytes() // 4
                    weakref.finalize(storage, self.sizes.pop, storage._cdata, None)
        self.peak = max(self.peak, sum(self.sizes.values()))
        return result


found = {}
for name in ("MeZO", "SPSA"):
    torch.manual_seed(0)
    model = torch.nn.Sequential(*(torch.nn.Linear(256, 256, bias=False) for _ in range(16)))
    known = {p.untyped_storage()._cdata for p in model.parameters()}
    elements = sum(p.numel() for p in model.parameters())
    optimizer = torchzero.Optimizer(
        model.parameters(), getattr(torchzero.m, name)(h=1e-3), torchzero.m.LR(1e-3)
    )
    x = torch.ones(1, 256)
    with Live() as live:
        optimizer.step(lambda backward=True: model(x).square().mean())
    found[name] = live.peak / elements
    print(f"{name}: {found[name]:.1f} copies of the weights")
sys.exit(not (found["MeZO"] > 1.9 and found["SPSA"] > 2.9))
EOF
