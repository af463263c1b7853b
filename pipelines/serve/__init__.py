"""`corpusmill serve`: a run in the browser while it runs and after, on this machine alone, read only."""
