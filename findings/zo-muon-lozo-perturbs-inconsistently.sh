#!/bin/sh
# ZO-Muon's vit/zo_optimizer.py: LOZOOptimizer does not restore the weights at its first step, and
# updates along another direction where it draws a new factor (every step_interval steps).
#
# Source:   https://github.com/OPTML-Group/ZO-Muon at 166a8f33d88d54906dad13702a38f31910b5da26,
#           vit/zo_optimizer.py, torch 2.x on a CPU
# Expected: zo_step() visits w + d and w - d and restores w; zo_update() moves along d: "Reset the
#           random seed to regenerate the exact same u/z used in perturbation".
# Seen:     the factor v is drawn from the seeded stream, between the u of all tensors. At step 1 only the
#           first of the three passes draws it, so that the others draw other u. At a step that is
#           a multiple of step_interval all three passes draw it, zo_update() does not. Three layers of
#           50 x 50, rank 4, step_interval 100, 2026-11-28, Python 3.11.7, torch 2.13:
#
#           step 1: off by 1.45 of the perturbation, cosine of the update 0.027
#           step 2: off by 0.00 of the perturbation, cosine of the update 1.000
#           step 100: off by 0.00 of the perturbation, cosine of the update 0.023
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
from zo_optimizer import LOZOOptimizer

torch.manual_seed(0)


def norm(tensors):
    return sum(t.double().square().sum() for t in tensors).sqrt()


def look(step):
    """Return how far the weights are off after zo_step(), and the cosine of the update."""
    np.random.seed(0)
    model = torch.nn.Sequential(*(torch.nn.Linear(50, 50, bias=False) for _ in range(3)))
    options = Namespace(zo_eps=1e-3, learning_rate=1.0, weight_decay=0, rank_r=4, step_interval=100)
    optimizer = LOZOOptimizer(model, options)
    points = []

    def forward(inputs, labels):
        points.append([p.detach().clone() for p in model.parameters()])
        return torch.tensor(float(len(points)))

    optimizer.zo_forward = forward
    if step > 1:  # the first step draws the factors; its weights are not used
        optimizer.zo_step(None, None)
        points.clear()
    optimizer.step = step - 1
    start = [p.detach().clone() for p in model.parameters()]
    optimizer.zo_step(None, None)
    restored = [p.detach().clone() for p in model.parameters()]
    perturbed = [a - b for a, b in zip(points[0], start)]
    off = norm(a - b for a, b in zip(restored, start)) / norm(perturbed)
    optimizer.zo_update()
    update = [a.detach() - b for a, b in zip(model.parameters(), restored)]
    cosine = sum((a * b).sum() for a, b in zip(update, perturbed)) / norm(update) / norm(perturbed)
    return off.item(), abs(cosine.item())


found = {step: look(step) for step in (1, 2, 100)}
for step, (off, cosine) in found.items():
    print(f"step {step}: off by {off:.2f} of the perturbation, cosine of the update {cosine:.3f}")
as_described = found[1][0] > 1 and found[2][0] < 0.01 and found[2][1] > 0.99
sys.exit(not (as_described and found[100][0] < 0.01 and found[100][1] < 0.1))
EOF
