"""Measurements of speed and memory, ours and the peers' in one run."""
