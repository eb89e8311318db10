"""The database: part of limen's design, not a detail behind an interface."""
