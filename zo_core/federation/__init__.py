"""Federated rounds: replicas, the round log, one round, a whole run.

Importing this package needs NumPy alone; a whole run, in
:mod:`zo_core.federation.simulation.training`, needs torch.
"""

from zo_core.federation.cohort import sample_cohort
from zo_core.federation.log import RoundLog
from zo_core.federation.rounds import LinkBytes, RoundRecord, run_round
from zo_core.replica import ForkError, Replica

__all__ = [
    "ForkError",
    "LinkBytes",
    "Replica",
    "RoundLog",
    "RoundRecord",
    "run_round",
    "sample_cohort",
]
