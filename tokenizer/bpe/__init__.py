"""Byte-level BPE: its definition, the sample it is trained on, and the encoders of documents."""
