"""Federated rounds: replicas, the round log, one round, a whole run.

Importing this package needs NumPy alone; a whole run, in :mod:`zo_core.federation.training`, needs
torch.
"""

from zo_core.federation.log import RoundLog
from zo_core.federation.replica import ForkError, Replica
from zo_core.federation.rounds import LinkBytes, RoundRecord, run_round, sample_cohort

__all__ = [
    "ForkError",
    "LinkBytes",
    "Replica",
    "RoundLog",
    "RoundRecord",
    "run_round",
    "sample_cohort",
]
