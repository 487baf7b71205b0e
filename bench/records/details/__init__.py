"""What each group's records keep besides metrics: one dataclass per kind of case.

``python -m bench.records.details.schema`` writes their JSON Schema, which ``zobench check`` uses.
"""
