"""The suite: cases, records and the report.  The only package that knows pytest and plots."""

SUITE_VERSION = "0.1.0"
