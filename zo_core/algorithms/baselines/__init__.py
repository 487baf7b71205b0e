"""Methods that ZOWarmUp is compared with, one per file."""
