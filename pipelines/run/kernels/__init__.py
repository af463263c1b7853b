"""Compiled code of operators."""
