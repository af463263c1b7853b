"""Judging: shards before training, baselines a model must beat, held-out bits per byte, and the gate."""
