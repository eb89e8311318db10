"""Accounts of other systems, and of another limen, on their way in and out."""
