"""The command line: thin over the library, one module a concern."""
