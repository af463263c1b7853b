"""Numba kernels over Arrow buffers used by the filters."""
