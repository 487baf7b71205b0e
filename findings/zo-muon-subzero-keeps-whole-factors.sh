#!/bin/sh
# ZO-Muon's vit/zo_optimizer.py: SubZeroOptimizer keeps the full SVD factors of every matrix alive, and
# HessianOptimizer a Hessian of the model's size.
#
# Source:   https://github.com/OPTML-Group/ZO-Muon at 166a8f33d88d54906dad13702a38f31910b5da26,
#           vit/zo_optimizer.py, torch 2.x on a CPU
# Expected: get_approximate_svd() "Computes truncated SVD", U [m, r] and V [r, n].
# Seen:     U[:, :r] and Vh[:r, :] are views, so that the storage of both whole factors stays. In copies of
#           the weights, three layers of 50 x 50 at rank 4, 2026-11-28, Python 3.11.7, torch 2.13:
#
#           SubZeroOptimizer: uses 0.16, holds 2.00
#           HessianOptimizer: uses 1.00, holds 1.00
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


def look(kind):
    """Return the elements of an optimizer's state, used and held, in copies of the weights."""
    model = torch.nn.Sequential(*(torch.nn.Linear(50, 50, bias=False) for _ in range(3)))
    options = Namespace(zo_eps=1e-3, learning_rate=0.1, weight_decay=0, rank_r=4, step_interval=100)
    optimizer = getattr(zo_optimizer, kind)(model, options)
    optimizer.zo_forward = lambda inputs, labels: torch.tensor(0.0)
    optimizer.zo_step(None, None)
    if kind == "HessianOptimizer":
        state = list(optimizer.hessian_matrix.values())
    else:
        state = [factor for pair in optimizer.subspace_state.values() for factor in pair.values()]
    weights = sum(p.numel() for p in model.parameters())
    held = sum(factor.untyped_storage().nbytes() // 4 for factor in state)
    return sum(factor.numel() for factor in state) / weights, held / weights


found = {kind: look(kind) for kind in ("SubZeroOptimizer", "HessianOptimizer")}
for kind, (used, held) in found.items():
    print(f"{kind}: uses {used:.2f}, holds {held:.2f}")
sys.exit(found != {"SubZeroOptimizer": (0.16, 2.0), "HessianOptimizer": (1.0, 1.0)})
EOF
