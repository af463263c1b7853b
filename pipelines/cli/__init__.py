"""The command line: thin over the library, one module a concern. Imports everything below."""
