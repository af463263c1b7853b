"""Compiled inner loops of the readers. Import from inside methods: numba is slow to load."""
