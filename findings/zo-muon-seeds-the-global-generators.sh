#!/bin/sh
# ZO-Muon's vit/zo_optimizer.py: a step seeds torch's global generator and draws from NumPy's.
#
# Source:   https://github.com/OPTML-Group/ZO-Muon at 166a8f33d88d54906dad13702a38f31910b5da26,
#           vit/zo_optimizer.py, torch 2.x on a CPU
# Expected: not documented.
# Seen:     every class calls torch.manual_seed() with the step's seed, and np.random.randint() for it, so
#           that what the caller draws from torch afterwards (data order, dropout) depends on the step.
#           2026-11-28, Python 3.11.7, torch 2.13:
#
#           MeZOOptimizer: torch changed, NumPy changed
#           SparseOptimizer: torch changed, NumPy changed
#           HessianOptimizer: torch changed, NumPy changed
#           LOZOOptimizer: torch changed, NumPy changed
#           SubZeroOptimizer: torch changed, NumPy changed
#           LowDimOptimizer: torch changed, NumPy changed
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
import numpy as np
import zo_optimizer

kinds = ["MeZO", "Sparse", "Hessian", "LOZO", "SubZero", "LowDim"]
changes = []
for kind in kinds:
    model = torch.nn.Linear(20, 20)
    options = Namespace(zo_eps=1e-3, learning_rate=0.1, weight_decay=0, rank_r=4, step_interval=100)
    vars(options).update(zo_optimizer="sgd", n_gpu=1, num_samples=1, sparsity=0.8)
    optimizer = getattr(zo_optimizer, f"{kind}Optimizer")(model, options)
    optimizer.zo_forward = lambda inputs, labels: torch.tensor(0.0)
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[2]
    optimizer.zo_step(None, None)
    optimizer.zo_update()
    changes += [not torch.equal(before[0], torch.get_rng_state()), before[1] != np.random.get_state()[2]]
    words = ["changed" if change else "unchanged" for change in changes[-2:]]
    print(f"{kind}Optimizer: torch {words[0]}, NumPy {words[1]}")
sys.exit(not all(changes))
EOF
