"""Tokenizers from the formats of other libraries, as the text of a tokenizer.json."""
