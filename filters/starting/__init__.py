"""A first recipe for a folder of data: its records, their languages, and the text of the recipe."""
