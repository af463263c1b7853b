"""A run: its graph, its schedule, its operators and engines. Imports the recipe and what is below."""
