"""corpusmill as a library, below the command line: recipes, runs and shards in a program."""
