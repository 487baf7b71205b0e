"""What a run leaves: one JSON record per case, its store, its index and its validation."""
