"""Tokenizers in the formats of other libraries, with the conditions under which their ids stay the same."""
