"""Judging a tokenizer before it is used: its figures on texts, its faults, and what a recipe may require."""
