"""Readers: how files on disk become documents. Imports extraction and what is below."""
