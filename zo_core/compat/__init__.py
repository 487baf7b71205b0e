"""Workarounds for other libraries, each in one place."""
