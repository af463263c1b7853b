"""The report of a run: one HTML page and its JSON twin. Imports inspection and what is below."""
