"""Sections of recipes whose stages are of this room, each a module found by its name."""
