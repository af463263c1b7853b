"""Formats of other libraries for tokenizers and shards, one a module: `corpusmill export --to NAME`."""
