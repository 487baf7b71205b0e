"""Many whole trainings as cached cells: engines, workers, successive halving."""
