"""Predict what fits into a memory, and try it under an enforced limit."""
