"""Compiled loops over a processor's tensors where torch has several passes and none that does all."""
