"""ZOWarmUp from top to bottom: warm up by backprop, then train by forwards and scalars.

Ten clients share scikit-learn's digits. Two have the memory for backprop and warm the model up by
FedAvg. Then the other eight continue: each sends S float32 scalars per round, from which the
server and all clients compute the same update, bit for bit. Run: python examples/zowarmup.py
"""

import copy
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from zo_core import apply_updates_, derive_seed, digest, loss_differences, snap_

RUN_SEED = 2026
CAPABLE, LOW_RESOURCE = range(2), range(2, 10)
WARMUP_ROUNDS, ZO_ROUNDS, DIRECTIONS = 4, 100, 3
RADIUS, LR = {"epsilon": 1e-3, "tau": 0.75}, 0.3

images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
order = torch.from_numpy(np.random.default_rng(0).permutation(len(x)))
test, shards = order[:357], order[357:].view(10, 144)  # one shard per client


def accuracy(model: torch.nn.Module) -> float:
    """Return the share of test images that the model classifies correctly."""
    with torch.no_grad():
        return (model(x[test]).argmax(dim=1) == y[test]).float().mean().item()


def loss(model: torch.nn.Module, client: int) -> torch.Tensor:
    """Return the mean cross entropy over a client's shard."""
    return F.cross_entropy(model(x[shards[client]]), y[shards[client]])


def train_locally(model: torch.nn.Module, client: int) -> dict[str, torch.Tensor]:
    """Train a copy of the model by backprop; needs memory for activations and gradients."""
    local = copy.deepcopy(model)
    optimizer = torch.optim.SGD(local.parameters(), lr=0.5)
    for _ in range(5):
        optimizer.zero_grad()
        loss(local, client).backward()
        optimizer.step()
    return local.state_dict()


# Phase one: FedAvg among the capable clients.
torch.manual_seed(RUN_SEED)
torch.set_num_threads(1)  # the model is tiny
model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
for _ in range(WARMUP_ROUNDS):
    states = [train_locally(model, client) for client in CAPABLE]
    model.load_state_dict({name: sum(s[name] for s in states) / len(states) for name in states[0]})
after_warmup = accuracy(model)
print(f"accuracy after warm-up: {after_warmup:.3f}")

# Hand-over: put the weights on an integer grid, so that every replica can stay bit-identical.
grid = snap_(model)
server, *clients = (copy.deepcopy((model, grid)) for _ in range(1 + len(LOW_RESOURCE)))

# Phase two: S scalars per client up, all scalars down; nobody sends a seed or a weight.
for r in range(ZO_ROUNDS):
    updates = []  # what the server broadcasts: dL of every client and direction, by derived seed
    for client, (replica, grid) in zip(LOW_RESOURCE, clients, strict=True):
        derive = partial(derive_seed, RUN_SEED, round_index=r, client_id=client)
        seeds = [derive(direction=s) for s in range(DIRECTIONS)]
        forward = partial(loss, replica, client)
        with torch.no_grad():  # dL = L(w + rho z) - L(w - rho z), in the memory of one forward
            scalars = loss_differences(forward, replica, seeds, **RADIUS, grid=grid)
        updates += zip(seeds, scalars, strict=True)
    for replica, grid in (server, *clients):
        apply_updates_(replica, updates, LR, **RADIUS, grid=grid)
at_end = accuracy(server[0])
digests = {digest(*replica).hex() for replica in (server, *clients)}
print(f"accuracy at the end: {at_end:.3f}, {4 * DIRECTIONS} bytes up per client per round")
print(f"digests of the server and {len(clients)} clients: {', '.join(digests)}")
