"""Datasets: versions by content, what is in them, and where their bytes are."""
