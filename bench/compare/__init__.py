"""Compare two runs against per-metric thresholds."""
