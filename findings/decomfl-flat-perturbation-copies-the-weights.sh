#!/bin/sh
# DeComFL's RandomGradientEstimator holds a perturbation, and then a gradient, of the whole model.
#
# Source:   https://github.com/ZidongLiu/DeComFL at 0c426e65b5f3132edc3e3191bc7f1eaa89d0fc3e,
#           cezo_fl/gradient_estimators/random_gradient_estimator.py, torch 2.x on a CPU
# Expected: as documented in the code: "It should be faster but consume more memory"; the option
#           paramwise_perturb avoids the flat perturbation.
# Seen:     both modes leave a gradient as large as the weights in .grad, and the default draws a flat
#           direction of all weights. 2026-11-28, Python 3.11.7, torch 2.13:
#
#           default: direction of 1.0 copies of the weights, .grad of 1.0
#           paramwise_perturb: .grad of 1.0
#
# Exits with 0 while this is so, with 1 as soon as it changes. MIRROR: where to clone from.
set -eu
PYTHON=${PYTHON:-python3}
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
"$PYTHON" -c "import torch, numpy" 2>/dev/null ||
    "$PYTHON" -m pip install -q --target "$FOLDER/packages" torch numpy
git clone -q --no-checkout "${MIRROR:-https://github.com}/ZidongLiu/DeComFL" "$FOLDER/public"
git -C "$FOLDER/public" checkout -q 0c426e65b5f3132edc3e3191bc7f1eaa89d0fc3e -- cezo_fl
PYTHONPATH="$FOLDER/packages:$FOLDER/public" "$PYTHON" - <<'EOF'
import contextlib
import io
import sys

import torch
from cezo_fl.gradient_estimators.random_gradient_estimator import RandomGradientEstimator


def look(paramwise):
    """Return the sizes of the flat direction and of .grad in copies of the weights."""
    model = torch.nn.Sequential(*(torch.nn.Linear(50, 50) for _ in range(3)))
    with contextlib.redirect_stdout(io.StringIO()):
        estimator = RandomGradientEstimator(
            model.parameters(), device="cpu", paramwise_perturb=paramwise
        )
    drawn = []
    inner = estimator.generate_perturbation_norm
    estimator.generate_perturbation_norm = lambda rng=None: drawn.append(inner(rng)) or drawn[-1]
    x = torch.randn(4, 50)
    with torch.no_grad():
        estimator.compute_grad(x, x, lambda x, y: (model(x) - y).square().mean(), 1)
    weights = sum(p.numel() for p in model.parameters())
    grads = sum(p.grad.numel() for p in model.parameters())
    return sum(z.numel() for z in drawn) / weights, grads / weights


flat, by_parameter = look(False), look(True)
print(f"default: direction of {flat[0]:.1f} copies of the weights, .grad of {flat[1]:.1f}")
print(f"paramwise_perturb: .grad of {by_parameter[1]:.1f}")
sys.exit(not (flat == (1.0, 1.0) and by_parameter == (0.0, 1.0)))
EOF
