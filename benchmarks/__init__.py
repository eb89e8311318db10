"""Measurements: what limen costs, one command a file."""
