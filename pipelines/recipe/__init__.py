"""The recipe: YAML to checked stages, by `loader.load_recipe`. Imports sources and what is below."""
