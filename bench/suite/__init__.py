"""One run of the suite: its scale, its groups, its progress and its checks before the start."""
