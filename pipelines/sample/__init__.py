"""A real corpus from installed packages and the standard library. Imports the contract alone."""
