"""Files of a run: commits, checked Arrow files, datasets and views. Imports records and what is below."""
