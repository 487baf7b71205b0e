"""What a fresh process runs and measures, by name."""
