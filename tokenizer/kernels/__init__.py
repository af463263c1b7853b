"""Numba kernels of the tokenizer room: plain functions on arrays, compiled on first use."""
