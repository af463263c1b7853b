"""Readers: how files on disk become documents."""
