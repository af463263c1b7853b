"""Typed records of a run: what is written beside the data. Imports text and what is below."""
