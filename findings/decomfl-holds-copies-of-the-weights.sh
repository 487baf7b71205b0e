#!/bin/sh
# DeComFL's gradient estimators hold vectors of the whole model's size.
#
# Source:   https://github.com/ZidongLiu/DeComFL at 0c426e65b5f3132edc3e3191bc7f1eaa89d0fc3e,
#           cezo_fl/gradient_estimators/, torch 2.x on a CPU
# Expected: as documented in the code: "It should be faster but consume more memory"; the option
#           paramwise_perturb avoids the flat perturbation.
# Seen:     all leave a gradient as large as the weights in .grad. RandomGradientEstimator draws a flat
#           direction of all weights unless paramwise_perturb is set; the other two draw one and hold a
#           diagonal as well. In copies of the weights, 2026-11-28, Python 3.11.7, torch 2.13:
#
#           RandomGradientEstimator: direction 1.0, .grad 1.0, diagonal 0.0
#           paramwise_perturb: direction 0.0, .grad 1.0, diagonal 0.0
#           HessianRandomGradientEstimator: direction 1.0, .grad 1.0, diagonal 1.0
#           AdamForwardGradientEstimatorBatch: direction 1.0, .grad 1.0, diagonal 1.0
#
# Exits with 0 while this is so, with 1 as soon as it changes. MIRROR: where to clone from.
set -eu
PYTHON=${PYTHON:-python3}
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
PINS="torch==2.13.0 numpy==2.4.6"
"$PYTHON" -m pip install -q --dry-run --no-deps --no-index $PINS 2>/dev/null ||
    "$PYTHON" -m pip install -q --target "$FOLDER/packages" $PINS
git clone -q --no-checkout "${MIRROR:-https://github.com}/ZidongLiu/DeComFL" "$FOLDER/public"
git -C "$FOLDER/public" checkout -q 0c426e65b5f3132edc3e3191bc7f1eaa89d0fc3e -- cezo_fl
PYTHONPATH="$FOLDER/packages:$FOLDER/public" "$PYTHON" - <<'EOF'
import contextlib
import io
import sys

import torch
from cezo_fl.gradient_estimators.adam_forward import AdamForwardGradientEstimatorBatch
from cezo_fl.gradient_estimators.hessian_random_gradient_estimator import (
    HessianRandomGradientEstimator,
)
from cezo_fl.gradient_estimators.random_gradient_estimator import RandomGradientEstimator


def look(kind, diagonal=None, **options):
    """Return the sizes of one flat direction, of .grad and of a diagonal in copies of the weights."""
    model = torch.nn.Sequential(*(torch.nn.Linear(50, 50) for _ in range(3)))
    with contextlib.redirect_stdout(io.StringIO()):
        estimator = kind(model.parameters(), device="cpu", **options)
    drawn = [0]
    inner = estimator.generate_perturbation_norm

    def draw(rng=None):
        z = inner(rng)
        drawn[0] = max(drawn[0], z.numel())
        return z

    estimator.generate_perturbation_norm = draw
    x = torch.randn(4, 50)
    with torch.no_grad():
        estimator.compute_grad(x, x, lambda x, y: (model(x) - y).square().mean(), 1)
    weights = sum(p.numel() for p in model.parameters())
    grads = sum(p.grad.numel() for p in model.parameters())
    held = getattr(estimator, diagonal).numel() if diagonal else 0
    return drawn[0] / weights, grads / weights, held / weights


found = {
    "RandomGradientEstimator": look(RandomGradientEstimator),
    "paramwise_perturb": look(RandomGradientEstimator, paramwise_perturb=True),
    "HessianRandomGradientEstimator": look(HessianRandomGradientEstimator, "hessian_vec"),
    "AdamForwardGradientEstimatorBatch": look(AdamForwardGradientEstimatorBatch, "K_vec"),
}
for name, sizes in found.items():
    print("{}: direction {:.1f}, .grad {:.1f}, diagonal {:.1f}".format(name, *sizes))
expected = [(1, 1, 0), (0, 1, 0), (1, 1, 1), (1, 1, 1)]
sys.exit(list(found.values()) != expected)
EOF
