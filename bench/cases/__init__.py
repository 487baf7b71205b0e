"""The cases that pytest collects, one file per group."""
