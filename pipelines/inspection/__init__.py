"""Looking at what a run left behind: its record, one document's story, any of its files, its health."""
