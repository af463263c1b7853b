"""What all kernels share. Import from inside methods: numba is slow to load."""
