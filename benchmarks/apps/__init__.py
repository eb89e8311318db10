"""Applications that are guarded, and the same unguarded."""
