"""Federated rounds: replicas, the round log, one round, a whole run."""
