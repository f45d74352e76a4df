"""Studies: many runs set side by side. Nothing here imports torch."""
