#!/bin/sh
# ZO-Muon's vit/zo_optimizer.py: LowDimOptimizer moves tensors of one dimension at the rate 1e-4, whatever
# the learning rate is.
#
# Source:   https://github.com/OPTML-Group/ZO-Muon at 166a8f33d88d54906dad13702a38f31910b5da26,
#           vit/zo_optimizer.py, torch 2.x on a CPU
# Expected: the learning rate scales the step: "Standard SGD update using the actual learning rate".
# Seen:     the update of biases and norms is -1e-4 * grad_est. One layer of 50 x 50 with a bias, an
#           estimate of 1 along z, 2026-11-28, Python 3.11.7, torch 2.13:
#
#           learning rate 0: matrix moves by 0.0e+00, bias by 8.7e-05 (rms)
#           learning rate 0.1: matrix moves by 5.7e-02, bias by 8.7e-05 (rms)
#
# Exits with 0 while this is so, with 1 as soon as it changes. MIRROR: where to clone from.
set -eu
PYTHON=${PYTHON:-python3}
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
PINS="torch==2.13.0 numpy==2.4.6 tqdm==4.70.1"
"$PYTHON" -m pip install -q --dry-run --no-deps --no-index $PINS 2>/dev/null ||
    "$PYTHON" -m pip install -q --target "$FOLDER/packages" $PINS
git clone -q --no-checkout "${MIRROR:-https://github.com}/OPTML-Group/ZO-Muon" "$FOLDER/public"
git -C "$FOLDER/public" checkout -q 166a8f33d88d54906dad13702a38f31910b5da26 -- vit
PYTHONPATH="$FOLDER/packages:$FOLDER/public/vit" "$PYTHON" - <<'EOF'
import sys
from argparse import Namespace
from types import ModuleType

import numpy as np
import torch

for name in ("torch.utils.tensorboard", "utils.data_utils"):  # imported there, not used here
    sys.modules[name] = ModuleType(name)
    sys.modules[name].SummaryWriter = sys.modules[name].get_loader = None
from zo_optimizer import LowDimOptimizer


def look(rate):
    """Return the rms by which a step moves the matrix and the bias."""
    torch.manual_seed(0)
    np.random.seed(0)
    model = torch.nn.Linear(50, 50)
    options = Namespace(zo_eps=1e-3, learning_rate=rate, weight_decay=0, rank_r=16, step_interval=100)
    vars(options).update(zo_optimizer="sgd", n_gpu=1)
    optimizer = LowDimOptimizer(model, options)
    optimizer.zo_forward = lambda inputs, labels: torch.tensor(0.0)
    optimizer.zo_step(None, None)
    optimizer.projected_grads_list = [1.0]
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.zo_update()
    moved = [a.detach() - b for a, b in zip(model.parameters(), before)]
    return [m.square().mean().sqrt().item() for m in moved]


found = {rate: look(rate) for rate in (0, 0.1)}
for rate, (matrix, bias) in found.items():
    print(f"learning rate {rate}: matrix moves by {matrix:.1e}, bias by {bias:.1e} (rms)")
sys.exit(not (found[0][0] == 0 and found[0.1][0] > 1e-3 and found[0][1] == found[0.1][1] > 1e-5))
EOF
