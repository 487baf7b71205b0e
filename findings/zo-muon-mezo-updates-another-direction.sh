#!/bin/sh
# ZO-Muon's vit/zo_optimizer.py: MeZOOptimizer updates all tensors but the first along another
# direction than it perturbed.
#
# Source:   https://github.com/OPTML-Group/ZO-Muon at 166a8f33d88d54906dad13702a38f31910b5da26,
#           vit/zo_optimizer.py, torch 2.x on a CPU
# Expected: zo_update() moves each parameter along the z that zo_perturb_parameters() added: "Reset
#           seed to reconstruct the specific z_i used in forward pass".
# Seen:     zo_perturb_parameters() seeds once and draws all tensors in turn; zo_update() seeds again
#           for each tensor, so that each one gets the beginning of the stream. Three layers of 50 x 50,
#           2026-11-28, Python 3.11.7, torch 2.13:
#
#           0.weight   1.000
#           1.weight   0.030
#           2.weight  -0.030
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
from zo_optimizer import MeZOOptimizer

torch.manual_seed(0)
model = torch.nn.Sequential(*(torch.nn.Linear(50, 50, bias=False) for _ in range(3)))
options = Namespace(zo_eps=1e-3, learning_rate=1.0, weight_decay=0, num_samples=1)
optimizer = MeZOOptimizer(model, options)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
optimizer.zo_perturb_parameters(random_seed=3)
perturbed = {name: p.detach() - start[name] for name, p in model.named_parameters()}
model.load_state_dict(start)
optimizer.zo_random_seeds, optimizer.projected_grads_list = [3], [-1.0]
optimizer.zo_update()
cosines = []
for name, p in model.named_parameters():
    update = (p.detach() - start[name]).flatten()
    cosines.append(torch.cosine_similarity(update, perturbed[name].flatten(), dim=0).item())
    print(f"{name} {cosines[-1]:>7.3f}")
sys.exit(not (cosines[0] > 0.999 and max(map(abs, cosines[1:])) < 0.1))
EOF
