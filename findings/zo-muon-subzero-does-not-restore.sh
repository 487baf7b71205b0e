#!/bin/sh
# ZO-Muon's vit/zo_optimizer.py: SubZeroOptimizer does not restore the weights at the steps that compute
# new factors (every step_interval steps).
#
# Source:   https://github.com/OPTML-Group/ZO-Muon at 166a8f33d88d54906dad13702a38f31910b5da26,
#           vit/zo_optimizer.py, torch 2.x on a CPU
# Expected: zo_step() visits w + d and w - d and restores w: "Reset Parameters to original state".
# Seen:     at such a step each of the three passes computes the factors by an SVD of the weights as
#           they are then, perturbed in the second and third. Three layers of 50 x 50, rank 4,
#           step_interval 100, 2026-11-28, Python 3.11.7, torch 2.13:
#
#           step 1: off by 0.00 of the perturbation
#           step 100: off by 1.77 of the perturbation
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
from zo_optimizer import SubZeroOptimizer


def norm(tensors):
    return sum(t.double().square().sum() for t in tensors).sqrt()


def look(step):
    """Return how far the weights are off after zo_step(), in units of the perturbation."""
    torch.manual_seed(0)
    np.random.seed(0)
    model = torch.nn.Sequential(*(torch.nn.Linear(50, 50, bias=False) for _ in range(3)))
    options = Namespace(zo_eps=1e-3, learning_rate=1.0, weight_decay=0, rank_r=4, step_interval=100)
    optimizer = SubZeroOptimizer(model, options)
    optimizer.step_curr = step - 1
    points = []

    def forward(inputs, labels):
        points.append([p.detach().clone() for p in model.parameters()])
        return torch.tensor(float(len(points)))

    optimizer.zo_forward = forward
    start = [p.detach().clone() for p in model.parameters()]
    optimizer.zo_step(None, None)
    off = norm(a.detach() - b for a, b in zip(model.parameters(), start))
    return (off / norm(a - b for a, b in zip(points[0], start))).item()


found = {step: look(step) for step in (1, 100)}
for step, off in found.items():
    print(f"step {step}: off by {off:.2f} of the perturbation")
sys.exit(not (found[1] < 0.001 and found[100] > 0.01))
EOF
