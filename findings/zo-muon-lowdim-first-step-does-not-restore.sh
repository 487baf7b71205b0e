#!/bin/sh
# ZO-Muon's vit/zo_optimizer.py: LowDimOptimizer, the class of the paper's method, does not restore the weights at
# its first step.
#
# Source:   https://github.com/OPTML-Group/ZO-Muon at 166a8f33d88d54906dad13702a38f31910b5da26,
#           vit/zo_optimizer.py, torch 2.x on a CPU
# Expected: zo_step() visits w + d and w - d and restores w.
# Seen:     the projection P is drawn from the seeded stream, before u. At step 1 only the first of the
#           three passes draws it, so that the others draw other u. Later steps are consistent. Three layers
#           of 50 x 50, rank 4, step_interval 100, 2026-11-28, Python 3.11.7, torch 2.13:
#
#           step 1: off by 1.43 of the perturbation, cosine of the update 0.032
#           step 2: off by 0.00 of the perturbation, cosine of the update 1.000
#           step 100: off by 0.00 of the perturbation, cosine of the update 1.000
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

import torch

for name in ("torch.utils.tensorboard", "utils.data_utils"):  # imported there, not used here
    sys.modules[name] = ModuleType(name)
    sys.modules[name].SummaryWriter = sys.modules[name].get_loader = None
import zo_optimizer
from zo_optimizer import LowDimOptimizer

torch.manual_seed(0)


def norm(tensors):
    return sum(t.double().square().sum() for t in tensors).sqrt()


def look(step):
    """Return how far the weights are off after zo_step(), and the cosine of the update."""
    zo_optimizer.np.random.seed(0)
    model = torch.nn.Sequential(*(torch.nn.Linear(50, 50, bias=False) for _ in range(3)))
    options = Namespace(zo_eps=1e-3, learning_rate=1.0, weight_decay=0, rank_r=4, step_interval=100)
    vars(options).update(zo_optimizer="sgd", n_gpu=1)
    optimizer = LowDimOptimizer(model, options)
    points = []

    def forward(inputs, labels):
        points.append([p.detach().clone() for p in model.parameters()])
        return torch.tensor(float(len(points)))

    optimizer.zo_forward = forward
    if step > 1:  # the first step draws the factors; its weights are not used
        optimizer.zo_step(None, None)
        points.clear()
    optimizer.step_curr = step - 1
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
later = found[2], found[100]
sys.exit(not (found[1][0] > 1 and all(off < 0.01 and cosine > 0.99 for off, cosine in later)))
EOF
