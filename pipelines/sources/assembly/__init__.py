"""Assembly: from records of any format to batches of the document schema."""
