#!/bin/sh
# torcheggroll 0.2.0 holds the noise and the weights of the whole population at once.
#
# Package:  torcheggroll 0.2.0 (https://pypi.org/project/torcheggroll/0.2.0/), torch 2.x on a CPU
# Expected: its page describes "Low-rank noise for matrices", which needs rank * (rows + columns)
#           values per member.
# Seen:     one step builds a dense noise tensor and a dense perturbed copy of every parameter for
#           every member. With 4 members and rank 4, 2026-11-28, Python 3.11.7, torch 2.13:
#
#           weights 262,144, noise 1,048,576: 4.0 copies of the weights
#           perturbed weights: 4.0 copies of the weights
#
# Exits with 0 while this is so, with 1 as soon as it changes.
set -eu
PYTHON=${PYTHON:-python3}
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
PINS="torch==2.13.0 numpy==2.4.6"
"$PYTHON" -m pip install -q --dry-run --no-deps --no-index $PINS 2>/dev/null ||
    "$PYTHON" -m pip install -q --target "$FOLDER" $PINS
"$PYTHON" -m pip install -q --no-deps --target "$FOLDER" torcheggroll==0.2.0
PYTHONPATH="$FOLDER" "$PYTHON" - <<'EOF'
import sys

import torch
from torcheggroll import TorchEggrollES

model = torch.nn.Linear(512, 512, bias=False)
trainer = TorchEggrollES(model, pop_size=4, rank=4)
population = trainer.prepare_population()
noise = sum(z.numel() for z in trainer._current_noise.values())
weights = model.weight.numel()
held = [w.untyped_storage() for member in population for w in member.values()]
storages = {storage.data_ptr(): storage.nbytes() for storage in held}
copies = sum(storages.values()) / (4 * weights)
print(f"weights {weights:,}, noise {noise:,}: {noise / weights:.1f} copies of the weights")
print(f"perturbed weights: {copies:.1f} copies of the weights")
sys.exit(not (noise == 4 * weights and copies == 4))
EOF
