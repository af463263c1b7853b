"""What the beginning of an input file shows before any work: its format, its fields, where its text is."""
