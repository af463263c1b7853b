"""What looks at a run: its record, a document's story, its health. Imports the run and what is below."""
