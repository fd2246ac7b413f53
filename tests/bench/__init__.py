"""Measurements; each prints its own reference in the same run."""
