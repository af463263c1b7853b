"""From token shards to training batches: permutation, loader, and hooks for other trainers."""
