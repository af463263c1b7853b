"""Judgements and edits of one document."""
