"""Backprop: local SGD, memory-efficient variants, trainable parts."""
