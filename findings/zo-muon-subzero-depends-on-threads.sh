#!/bin/sh
# ZO-Muon's vit/zo_optimizer.py: SubZeroOptimizer's perturbation differs in its bits with the number of threads.
#
# Source:   https://github.com/OPTML-Group/ZO-Muon at 166a8f33d88d54906dad13702a38f31910b5da26,
#           vit/zo_optimizer.py, torch 2.x on a CPU
# Expected: not documented; a step is rebuilt from its seed only where the factors are the same.
# Seen:     the factors come from torch.linalg.svd, whose last bits depend on the number of threads. One
#           matrix of 412 x 412 at rank 16, 1 and 2 threads, 2026-11-28, Python 3.11.7, torch 2.13:
#
#           elements of U and V that differ: 13164 of 13184
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
from zo_optimizer import get_approximate_svd

torch.manual_seed(0)
matrix = torch.randn(412, 412)
factors = []
for threads in (1, 2):
    torch.set_num_threads(threads)
    factors.append(torch.cat([factor.flatten() for factor in get_approximate_svd(matrix, 16)]))
differing = int((factors[0] != factors[1]).sum())
print(f"elements of U and V that differ: {differing} of {factors[0].numel()}")
sys.exit(not differing)
EOF
