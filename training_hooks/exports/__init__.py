"""Formats of other libraries that models are exported to, one a module: `corpusmill export --to NAME`."""
