"""Duplicates across documents: exact, MinHash, decontamination."""
