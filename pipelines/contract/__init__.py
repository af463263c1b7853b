"""What stages and the spine agree on: stages, documents, addresses, errors. Imports nothing else of ours."""
