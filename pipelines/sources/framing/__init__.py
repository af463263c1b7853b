"""Framing: where members, frames, records and lines begin and end, and proof that none is cut or corrupt."""
