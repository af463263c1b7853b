"""Functions that the command line calls by name: one file each."""
