"""A whole run in one process: training, its checkpoint and its evaluation."""
