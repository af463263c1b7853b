"""Compiled kernels of extraction, imported inside the methods that use them."""
