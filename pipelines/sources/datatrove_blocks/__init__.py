"""Blocks of datatrove as parts of a recipe: finding them, their documents, and what they may not do."""
