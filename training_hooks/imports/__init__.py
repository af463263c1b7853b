"""Formats that models are imported from, one a module: `corpusmill import --from NAME`."""
