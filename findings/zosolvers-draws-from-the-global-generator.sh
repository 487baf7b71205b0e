#!/bin/sh
# ZoSolvers 0.1.5 draws its directions from NumPy's global generator.
#
# Package:  ZoSolvers 0.1.5 (https://pypi.org/project/ZoSolvers/0.1.5/), NumPy 2.x
# Expected: not documented apart from "np.random.seed reproducibility"; there is no seed argument.
# Seen:     a step moves the state of numpy.random, and with it whatever the caller draws there; the
#           direction, the two points and the new iterate are vectors of the model's size.
#           2026-11-28, Python 3.11.7, NumPy 2.4:
#
#           numpy.random: changed by a step
#
# Exits with 0 while this is so, with 1 as soon as it changes.
set -eu
PYTHON=${PYTHON:-python3}
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
PINS="numpy==2.4.6"
"$PYTHON" -m pip install -q --dry-run --no-deps --no-index $PINS 2>/dev/null ||
    "$PYTHON" -m pip install -q --target "$FOLDER" $PINS
"$PYTHON" -m pip install -q --no-deps --target "$FOLDER" ZoSolvers==0.1.5
PYTHONPATH="$FOLDER" "$PYTHON" - <<'EOF'
import sys

import numpy as np
from ZoSolvers.minimisation import ZO_gauss_min

np.random.seed(1)
before = np.random.get_state()[2]
solver = ZO_gauss_min(lambda x: float(x @ x), np.ones(8))
solver.step(np.ones(8), "center", 1)
changed = np.random.get_state()[2] != before
print(f"numpy.random: {'changed' if changed else 'not changed'} by a step")
sys.exit(not changed)
EOF
