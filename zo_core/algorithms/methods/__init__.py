"""Methods of the ZOWarmUp paper, one per file."""
