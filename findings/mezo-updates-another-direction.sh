#!/bin/sh
# mezo 0.0.1 updates large tensors along another direction than it perturbed.
#
# Package:  mezo 0.0.1 (https://pypi.org/project/mezo/0.0.1/), torch 2.x on a CPU
# Expected: update() moves each parameter by -learning_rate * projected_grad * z, with the z that it
#           perturbed by. Its comment says: "The RNG should still be fine, because the same number
#           of samples are drawn every time for that particular weight."
# Seen:     update_param() draws tensors above 100,000 elements row by row, perturb_parameters() whole.
#           torch.randn on a CPU draws in blocks of 16, so the values agree only where a row is a
#           multiple of 16. Cosine between perturbation and update, 2026-11-28, Python 3.11.7, torch 2.13:
#
#           shape           elements   cosine
#           300 x 300         90,000    1.000
#           1,000 x 256      256,000    1.000
#           500 x 500        250,000   -0.002
#           10,000 x 12      120,000   -0.003
#           2,000 x 100      200,000    0.003
#
# Exits with 0 while this is so, with 1 as soon as it changes.
set -eu
PYTHON=${PYTHON:-python3}
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
PINS="torch==2.13.0 numpy==2.4.6"
"$PYTHON" -m pip install -q --dry-run --no-deps --no-index $PINS 2>/dev/null ||
    "$PYTHON" -m pip install -q --target "$FOLDER" $PINS
"$PYTHON" -m pip install -q --no-deps --target "$FOLDER" mezo==0.0.1
PYTHONPATH="$FOLDER" "$PYTHON" - <<'EOF'
import sys

import torch
from mezo import perturb_parameters
from mezo.mezo import update_params


def cosine(shape):
    perturbed, updated = torch.zeros(shape), torch.zeros(shape)
    perturb_parameters([perturbed], 1.0, 7)
    update_params([updated], random_seed=7, learning_rate=1.0, projected_grad=torch.tensor(-1.0))
    return torch.cosine_similarity(perturbed.flatten(), updated.flatten(), dim=0).item()


found = {}
for shape in [(300, 300), (1000, 256), (500, 500), (10_000, 12), (2_000, 100)]:
    found[shape] = cosine(shape)
    print(f"{shape[0]:>6,} x {shape[1]:<6} {shape[0] * shape[1]:>8,} {found[shape]:>8.3f}")
alike = [found[(300, 300)], found[(1000, 256)]]
apart = [found[(500, 500)], found[(10_000, 12)], found[(2_000, 100)]]
sys.exit(not (min(alike) > 0.999 and max(map(abs, apart)) < 0.05))
EOF
