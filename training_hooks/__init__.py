"""Shard loader and the bundled DeepSeek-V3-style model and trainer; the only room that imports torch."""
