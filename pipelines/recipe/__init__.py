"""The recipe: YAML text to typed, checked objects. `loader.load_recipe` is the way in."""
