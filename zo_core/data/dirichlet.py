"""Dirichlet draws from the stream, one for each client.

A draw is a vector of gamma draws over its sum.  Gamma draws come by the rejection method of
Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000: about one attempt in
fifty is rejected, and each attempt of each (client, class) has a Philox block of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zo_core.data.partition_stream import Use, to_uniform
from zo_core.philox import Purpose, philox4x32, split_seed

Floats = npt.NDArray[np.float64]


def dirichlet_shares(run_seed: int, *, clients: int, classes: int, alpha: float) -> Floats:
    """Draw each client's label distribution from the symmetric Dirichlet(alpha).

    Args:
        run_seed: the run's seed, in [0, 2^64).
        clients: number of draws; draw k is the same whatever this number is.
        classes: length of each draw.
        alpha: concentration, > 0: small is skewed, large is near uniform.

    Returns:
        float64 array of shape (clients, classes), rows summing to 1.
    """
    logs = _log_gamma_draws(run_seed, clients, classes, alpha)
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _log_gamma_draws(run_seed: int, clients: int, classes: int, alpha: float) -> Floats:
    """Logarithms of Gamma(alpha) draws: at a small alpha the draws themselves underflow."""
    logs = np.empty((clients, classes))
    client, label = (index.reshape(-1) for index in np.indices(logs.shape))
    attempt = 0
    while len(client):
        counter = (label, client, Use.GAMMA + attempt, Purpose.PARTITION)
        drawn, accepted = _attempt(philox4x32(counter, split_seed(run_seed)), alpha)
        logs[client[accepted], label[accepted]] = drawn[accepted]
        client, label = client[~accepted], label[~accepted]
        attempt += 1
    return logs


def _attempt(
    words: tuple[npt.NDArray[np.uint32], ...], alpha: float
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Try one draw of log Gamma(alpha): that of Gamma(alpha + 1), plus log(u) / alpha."""
    u0, u1, u2, u3 = (to_uniform(word) for word in words)
    normal = np.sqrt(-2.0 * np.log(u0)) * np.cos(2.0 * np.pi * u1)
    d = alpha + 1.0 - 1.0 / 3.0
    root = 1.0 + normal / np.sqrt(9.0 * d)
    positive = root > 0.0
    log_v = 3.0 * np.log(np.where(positive, root, 1.0))
    accepted = np.log(u2) < 0.5 * normal**2 + d - d * np.exp(log_v) + d * log_v
    return np.log(d) + log_v + np.log(u3) / alpha, positive & accepted
