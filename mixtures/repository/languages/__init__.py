"""One file a language: where its import statements stand, what they say, and which files they mean."""
