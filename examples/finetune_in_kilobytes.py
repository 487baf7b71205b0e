"""A fine-tuned model in kilobytes: train by forwards, keep the log, rebuild the weights.

A small network learns scikit-learn's digits. The camera is then mounted upside down, and the device
that runs the network adapts it by ZOSGD: without gradients, in the memory of inference. What the
device sends home is the log of its steps. Run: python examples/finetune_in_kilobytes.py
"""

import copy
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn

import zo_core
from zo_core.torch import ZOSGD

STEPS, BATCH = 300, 64

torch.manual_seed(0)
images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images / 16, dtype=torch.float32).view(-1, 1, 8, 8), torch.tensor(labels)
order = torch.randperm(len(x))
train, test = order[400:], order[:400]
upside_down = x.flip(2, 3)

model = nn.Sequential(
    nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 256), nn.ReLU(), nn.Linear(256, 10)
)


def accuracy(network: nn.Module) -> float:
    """Return the share of upside-down test images that the network classifies correctly."""
    with torch.inference_mode():
        return float((network(upside_down[test]).argmax(1) == y[test]).float().mean())


# At the maker: backprop on upright digits. This is the base that both sides have.
adam = torch.optim.Adam(model.parameters(), lr=1e-3)
for _ in range(150):
    batch = train[torch.randint(len(train), (BATCH,))]
    adam.zero_grad()
    F.cross_entropy(model(x[batch]), y[batch]).backward()
    adam.step()
base = copy.deepcopy(model)
print(f"accuracy of the base: {accuracy(model):.3f}")

# On the device: forwards only.
optimizer = ZOSGD(model.named_parameters(), lr=1e-2, directions=8)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
for _ in range(STEPS):
    batch = train[torch.randint(len(train), (BATCH,))]
    optimizer.step(lambda batch=batch: F.cross_entropy(model(upside_down[batch]), y[batch]))
    schedule.step()
print(f"accuracy of the fine-tuned model: {accuracy(model):.3f}")

with tempfile.TemporaryDirectory() as folder:
    weights, log = Path(folder, "tuned.safetensors"), Path(folder, "tune.zolog")
    save_file(model.state_dict(), weights)
    optimizer.log().save(log)
    print(f"weights: {weights.stat().st_size / 1e3:.0f} kB, log: {log.stat().st_size / 1e3:.0f} kB")

    # At home: the base and the log give the fine-tuned weights.
    zo_core.replay(base, log)
same = all(torch.equal(a, b) for a, b in zip(base.parameters(), model.parameters(), strict=True))
print(f"accuracy of the rebuilt model: {accuracy(base):.3f}, equal to the bit: {same}")
