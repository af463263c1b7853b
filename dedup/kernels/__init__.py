"""Numba kernels over Arrow buffers used by deduplication."""
