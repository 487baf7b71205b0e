#!/bin/sh
# eggroll-es 0.2.0: the "low-rank" noise has full rank and takes more memory than dense noise.
#
# Package:  eggroll-es 0.2.0 (https://pypi.org/project/eggroll-es/0.2.0/), torch 2.x on a CPU
# Expected: LowRankNoiser's docstring: perturbations "A @ B.T / sqrt(r)" with A and B of D x r, memory
#           "O(2Dr) instead of O(D^2) per perturbation"; EggrollConfig: sigma is the "Noise standard
#           deviation".
# Seen:     A and B have one row per weight, and the noise is (A * B).sum(dim=1): of full rank, with
#           the standard deviation sigma / sqrt(rank). All members' noise is held at once. A matrix of
#           64 x 64 at rank 4, sigma 1, population 8, 2026-11-28, Python 3.11.7, torch 2.13:
#
#           rank 64, standard deviation 0.50, held at once: 16 copies of the weights
#
# Exits with 0 while this is so, with 1 as soon as it changes.
set -eu
PYTHON=${PYTHON:-python3}
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
PINS="torch==2.13.0 numpy==2.4.6"
"$PYTHON" -m pip install -q --dry-run --no-deps --no-index $PINS 2>/dev/null ||
    "$PYTHON" -m pip install -q --target "$FOLDER" $PINS
"$PYTHON" -m pip install -q --no-deps --target "$FOLDER" eggroll-es==0.2.0
PYTHONPATH="$FOLDER" "$PYTHON" - <<'EOF'
import sys

import torch
from eggroll.core import EggrollConfig, LowRankNoiser

config = EggrollConfig(population_size=8, rank=4, sigma=1.0, device="cpu")
noise = LowRankNoiser({"weight": torch.Size([64, 64])}, config).sample_perturbations(8)
rank = int(torch.linalg.matrix_rank(noise[0]["weight"]))
spread = torch.stack([z["weight"] for z in noise]).std().item()
copies = sum(z["weight"].numel() for z in noise) / 64**2
print(f"rank {rank}, standard deviation {spread:.2f}, held at once: {copies:.0f} copies of the weights")
sys.exit(not (rank == 64 and abs(spread - 0.5) < 0.05 and copies == 16))
EOF
